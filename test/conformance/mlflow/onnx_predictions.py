"""Compares our predictions of plain ONNX models with those of MLflow's onnx flavor: models are saved by `mlflow.onnx`, and
each input is given to `mlflow.pyfunc.load_model(...).predict` and to onnx-predictions.ts. Run at the root of the repository,
after a build. Prints one line that begins with "peer:", and fails when a prediction or a refusal differs.

What is compared: whether it is refused, the form, names, element types and shapes, texts and whole numbers exactly, floats to
a relative 1e-6 (the two may have different builds of ONNX Runtime). Named differences:
  null text     a missing text becomes "None" or "nan" in Python; we refuse it
  arrow text    with pandas 3, a column of text cannot be fed to a graph of several inputs in Python; we feed it
"""

import base64
import functools
import itertools
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import warnings

import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto as T
from onnx import helper as h

from data_cases import PANDAS_HAS_STR, encode

PLAIN = os.path.join("test", "fixtures", "onnx", "plain")
NAMED = {"null text", "arrow text"}
SIZES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?"]


def identity(onnx_type, dims):
    """y = x"""
    values = [h.make_tensor_value_info(name, onnx_type, dims) for name in "xy"]
    graph = h.make_graph([h.make_node("Identity", ["x"], ["y"])], "identity", values[:1], values[1:])
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 21)], ir_version=10)


IDENTITIES = {
    dtype: identity(onnx_type, ["n", "m"])
    for dtype, onnx_type in dict(
        float16=T.FLOAT16, float32=T.FLOAT, float64=T.DOUBLE, int8=T.INT8, int16=T.INT16, int32=T.INT32, int64=T.INT64,
        uint8=T.UINT8, uint16=T.UINT16, uint32=T.UINT32, uint64=T.UINT64, bool=T.BOOL,
    ).items()
}


def two_lengths():
    """Outputs that do not fit into one table."""
    graph = h.make_graph(
        [h.make_node("Identity", ["x"], ["all"]), h.make_node("ReduceSum", ["x"], ["total"], keepdims=0)],
        "two",
        [h.make_tensor_value_info("x", T.FLOAT, ["n", "m"])],
        [h.make_tensor_value_info("all", T.FLOAT, ["n", "m"]), h.make_tensor_value_info("total", T.FLOAT, [])],
    )
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 21)], ir_version=10)


def fixture(name):
    return onnx.load(os.path.join(PLAIN, f"{name}.onnx"))


def cases():
    """(model name, model, input, name of a difference or None)"""
    random = np.random.default_rng(4)
    flowers = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    X = random.uniform(0.1, 7, (5, 4))
    table = pd.DataFrame(X, columns=flowers)
    for dtype in ("f4", "f8"):
        yield "iris", fixture("iris"), X.astype(dtype), None
        yield "iris", fixture("iris"), {"X": X.astype(dtype)}, None
        yield "iris", fixture("iris"), table.astype(dtype), None
        yield "iris-columns", fixture("iris-columns"), table.astype(dtype), None
        yield "iris-columns", fixture("iris-columns"), {f: table[f].to_numpy(dtype) for f in flowers}, None
    yield "iris", fixture("iris"), table.iloc[:0], None
    yield "iris", fixture("iris"), table[flowers[:3]], None
    yield "iris", fixture("iris"), table.astype("int64"), None
    yield "iris", fixture("iris"), table.assign(petal_width=1), None
    yield "iris", fixture("iris"), X.tolist(), None
    yield "iris", fixture("iris"), {"Y": X}, None
    yield "iris-columns", fixture("iris-columns"), table.assign(more=1.0), None
    yield "iris-columns", fixture("iris-columns"), table[flowers[:3]], None
    yield "iris-columns", fixture("iris-columns"), X, None
    yield "iris-columns", fixture("iris-columns"), {f: X[:, :1] for f in flowers}, None

    several = fixture("several")
    a, b = random.normal(size=(2, 3)).astype("f4"), random.normal(size=(2, 3))
    yield "several", several, {"a": a, "b": b}, None
    yield "several", several, {"b": b, "a": a.astype("f8")}, None
    yield "several", several, {"a": a, "b": a}, None
    yield "several", several, {"a": a}, None
    yield "several", several, {"a": a, "b": b, "c": b}, None
    yield "several", several, {"a": a[:1], "b": b}, None
    yield "several", several, {"a": a[:, :2], "b": b}, None
    yield "several", several, pd.DataFrame({"a": a[0], "b": b[0]}), None

    yield "pieces", fixture("pieces"), random.normal(size=(3, 2)).astype("f4"), None
    yield "pieces", fixture("pieces"), pd.DataFrame(random.normal(size=(3, 2)), columns=["p", "q"]), None
    yield "halves", fixture("halves"), random.normal(size=(3, 2)).astype("f2"), None
    yield "halves", fixture("halves"), random.normal(size=(3, 2)), None
    yield "lengths", two_lengths(), random.normal(size=(3, 2)).astype("f4"), None
    yield "lengths", two_lengths(), pd.DataFrame(random.normal(size=(3, 2)), columns=["p", "q"]), None

    for dtype, model in IDENTITIES.items():
        for given in SIZES:
            yield f"identity-{dtype}", model, random.integers(0, 2, (2, 3)).astype(given), None
    tables = [pair for pair in itertools.product(SIZES, SIZES)] + [random.choice(SIZES[:-1], 3) for _ in range(40)]
    for sizes in tables:
        table = pd.DataFrame({name: random.integers(0, 100, 2).astype(size) for name, size in zip("pqr", sizes)})
        dtype = str(table.values.dtype)
        dtype = dtype if dtype in IDENTITIES else "float32"
        yield f"identity-{dtype}", IDENTITIES[dtype], table, None
    yield "identity-int64", IDENTITIES["int64"], np.array([[np.iinfo("i8").max, np.iinfo("i8").min]]), None
    yield "identity-float32", IDENTITIES["float32"], np.array([[1e300, np.nan], [-np.inf, 1e-45]]), None
    yield "identity-int64", IDENTITIES["int64"], np.array([["2024-01-01"]], "datetime64[ns]"), None
    yield "identity-0", identity(T.DOUBLE, []), np.array(1.5), None
    yield "identity-float32", IDENTITIES["float32"], np.zeros((0, 3), "f4"), None

    texts = identity(T.STRING, ["n", "m"])
    words = np.array([["a", ""], ["\u017e\U0001f600", "line\nbreak"]], object)
    yield "texts", texts, words, None
    yield "texts", texts, words.astype(str), None
    yield "texts", texts, {"x": words}, None
    yield "texts", texts, pd.DataFrame(words, columns=["p", "q"]), None
    yield "texts", texts, pd.DataFrame({"p": ["a", "b"], "q": [1, 2]}), None
    yield "texts", texts, pd.DataFrame({"p": ["a", "b"], "q": [0.5, 1e20], "r": [True, False]}), None
    yield "texts", texts, pd.DataFrame({"p": [1, 2]}), None
    yield "texts", texts, pd.DataFrame({"p": [1, 2], "q": [True, False]}), None
    yield "texts", texts, np.array([["a", None]], object), "null text"
    yield "texts", texts, pd.DataFrame({"p": ["a", None]}), "null text"
    yield "identity-float32", IDENTITIES["float32"], pd.DataFrame({"p": ["a"], "q": [1.0]}), None

    numbers = {"in_" + n: np.zeros(2, d) for n, d in dict(float="f4", double="f8", float16="f2", int8="i1", int16="i2", int32="i4", int64="i8", uint8="u1", uint16="u2", uint32="u4", uint64="u8", bool="?").items()}
    everything = fixture("types")
    everything.graph.input.remove(next(i for i in everything.graph.input if i.name == "in_bfloat16"))
    everything.graph.output.remove(next(o for o in everything.graph.output if o.name == "out_bfloat16"))
    everything.graph.node.remove(next(n for n in everything.graph.node if n.output[0] == "out_bfloat16"))
    yield "types", everything, {**numbers, "in_string": np.array(["a", "b"], object)}, None
    yield "types", everything, pd.DataFrame({**numbers, "in_string": ["a", "b"]}), "arrow text" if PANDAS_HAS_STR else None


OPTIONS = [None, {"execution_mode": "parallel", "inter_op_num_threads": 2, "intra_op_num_threads": 1, "graph_optimization_level": 2}]


load = functools.cache(mlflow.pyfunc.load_model)


def theirs(folder, data):
    try:
        prediction = load(folder).predict(data)
        if isinstance(prediction, pd.DataFrame) and not PANDAS_HAS_STR:
            return {"prediction": str_columns(text_keys(encode(prediction)))}
        return {"prediction": text_keys(encode(prediction))}
    except Exception as error:
        return {"refused": type(error).__name__, "message": str(error)}


def text_keys(coded):
    """Keys of maps as JSON would make them."""
    if isinstance(coded, list):
        return [text_keys(item) for item in coded]
    if not isinstance(coded, dict):
        return coded
    if "dict" in coded:
        return {"dict": [[str(key), text_keys(value)] for key, value in coded["dict"]]}
    return {key: text_keys(value) for key, value in coded.items()}


def str_columns(coded):
    """Columns of text as pandas 3 types them."""
    for _, column in coded["table"]["columns"]:
        if column["dtype"] == "object" and column["items"] and all(isinstance(item, str) for item in column["items"]):
            column["dtype"] = "str"
    return coded


def same(a, b):
    """Equal, but for the last digits of floats."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        if set(a) == {"float"}:
            return close(float(a["float"]), float(b["float"]))
        if "data" in a and a["dtype"] == b["dtype"] and a["dtype"] in ("float32", "float64"):
            left, right = (np.frombuffer(base64.b64decode(x["data"]), a["dtype"]) for x in (a, b))
            return a["shape"] == b["shape"] and np.allclose(left, right, rtol=1e-6, atol=1e-9, equal_nan=True)
        return all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def main():
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    onnxruntime.set_default_logger_severity(4)
    with tempfile.TemporaryDirectory() as root:
        asked, expected, labels = [], [], []
        folders = {}
        for name, model, data, difference in cases():
            if name not in folders:
                folders[name] = os.path.join(root, name)
                options = OPTIONS[len(folders) % 2]
                mlflow.onnx.save_model(model, folders[name], onnx_session_options=options, pip_requirements=["onnxruntime"])
            asked.append({"folder": folders[name], "data": encode(data)})
            expected.append(theirs(folders[name], data))
            labels.append((name, difference, data))
        path = os.path.join(root, "cases.json")
        with open(path, "w") as f:
            json.dump(asked, f)
        command = ["node", "--import", "tsx", "test/conformance/mlflow/onnx-predictions.ts", path]
        answers = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    wrong, named = 0, 0
    for (name, difference, data), ours, reference in zip(labels, answers, expected, strict=True):
        agrees = ("refused" in ours) == ("refused" in reference) and ("refused" in ours or same(ours, reference))
        if difference is not None and not agrees:
            assert difference in NAMED
            named += 1
        elif agrees == (difference is not None):
            wrong += 1
            print(f"{name}: {data!r}\n  MLflow {json.dumps(reference)[:400]}\n  ours   {json.dumps(ours)[:400]}", file=sys.stderr)
    refused = sum("refused" in answer for answer in answers)
    if wrong:
        sys.exit(f"{wrong} of {len(answers)} predictions differ")
    print(f"peer: mlflow {mlflow.__version__}: {len(answers)} predictions of plain ONNX models agree ({refused} refused, {named} named differences)")


main()
