"""Signatures, input examples, MLmodel texts and environments of every kind, for make_fixtures.py.

Each function gives cases in a fixed order; what a release of MLflow does not have is left out of its cases. Nothing here
knows how a case is recorded.
"""

import datetime as dt
import json

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import llm, schema
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Map, Object, ParamSchema, ParamSpec, Property, Schema, SparkMLVector, TensorSpec
from scipy import sparse

MOMENT = dt.datetime(2024, 5, 17, 23, 15, 28, 764394)
SCALARS = list(DataType)
AWKWARD = ["it's", 'say "hi"', "both ' and \"", "größe", "☃ 😀", "a\\b", "line\nbreak", "tab\t", " spaced ", "", "1e3", "null", "x" * 130]


def columns(*specs) -> ModelSignature:
    return ModelSignature(inputs=Schema(list(specs)))


def tensors(*specs) -> ModelSignature:
    return ModelSignature(inputs=Schema(list(specs)))


def params(*specs) -> ModelSignature:
    return ModelSignature(params=ParamSchema(list(specs)))


def deep(levels: int):
    kind = DataType.double
    for level in range(levels):
        kind = [Array(kind), Object([Property("b", kind), Property("a", DataType.string, required=False)]), Map(kind)][level % 3]
    return kind


def signatures() -> dict[str, ModelSignature]:
    frame = pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5], "c": ["x", "y"], "d": pd.to_datetime(["2024-01-01", "2024-01-02"]), "e": [True, False]})
    cases = {
        "scalars": columns(*[ColSpec(kind, kind.name) for kind in SCALARS]),
        "optional scalars": columns(*[ColSpec(kind, kind.name, required=False) for kind in SCALARS]),
        "unnamed column": columns(ColSpec("string")),
        "unnamed columns": columns(ColSpec("long"), ColSpec("double"), ColSpec(Array("string"))),
        "arrays": columns(*[ColSpec(Array(kind), kind.name) for kind in SCALARS], ColSpec(Array(Array("long")), "matrix", required=False)),
        "objects": columns(
            ColSpec(Object([Property("z", "long"), Property("a", "string", required=False), Property("it's", "boolean")]), "o"),
            ColSpec(Object([Property("inner", Object([Property("x", Array("double"), required=False)]))]), "deeper", required=False),
        ),
        "maps": columns(*[ColSpec(Map(kind), kind.name) for kind in SCALARS], ColSpec(Map(Map(Array("long"))), "maps"), ColSpec(Map(Object([Property("x", "long")])), "objects")),
        "any": columns(ColSpec(AnyType(), "any", required=False), ColSpec(Array(AnyType()), "list"), ColSpec(Map(AnyType()), "map"), ColSpec(Object([Property("x", AnyType(), required=False)]), "object")),
        "deep": columns(ColSpec(deep(12), "deep")),
        "spark vector": columns(ColSpec(SparkMLVector(), "v")),
        "awkward names": columns(*[ColSpec("long", name) for name in AWKWARD]),
        "awkward properties": columns(ColSpec(Object([Property(name, "long") for name in AWKWARD]), "o")),
        "number names": infer_signature(pd.DataFrame([[1, 2.5, "x"]])),
        "many columns": columns(*[ColSpec("double", f"feature_{i}") for i in range(60)]),
        "one name twice": columns(ColSpec("long", "a"), ColSpec("string", "a")),
        "unnamed tensor": tensors(TensorSpec(np.dtype("float64"), (-1, 3))),
        "unnamed tensor of no dimensions": tensors(TensorSpec(np.dtype("int64"), ())),
        "named tensors": tensors(*[TensorSpec(np.dtype(name), (-1, size), name) for size, name in enumerate("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 object".split())]),
        "text tensors": tensors(TensorSpec(np.dtype("str"), (-1,), "str"), TensorSpec(np.dtype("bytes"), (-1, 2), "bytes"), TensorSpec(np.dtype("datetime64"), (-1,), "when")),
        "awkward tensor names": tensors(*[TensorSpec(np.dtype("float32"), (-1,), name) for name in AWKWARD if name]),
        "params": params(
            ParamSpec("boolean", "boolean", True),
            ParamSpec("integer", "integer", 3),
            ParamSpec("long", "long", 2**62),
            ParamSpec("float", "float", np.float32(0.1)),
            ParamSpec("double", "double", 1e-7),
            ParamSpec("whole", "double", 1.0),
            ParamSpec("string", "string", "it's ☃"),
            ParamSpec("datetime", "datetime", np.datetime64("2024-05-17T23:15:28.764394")),
            ParamSpec("longs", "long", [1, 2], (-1,)),
            ParamSpec("doubles", "double", [0.5, 1.0], (-1,)),
            ParamSpec("strings", "string", ["a", "b"], (-1,)),
            ParamSpec("booleans", "boolean", [True], (-1,)),
            ParamSpec("datetimes", "datetime", [np.datetime64("2024-05-17")], (-1,)),
            ParamSpec("empty", "long", [], (-1,)),
            ParamSpec("none", "string", None),
        ),
        "object param": params(ParamSpec("o", Object([Property("b", "long"), Property("a", Array("string"), required=False)]), {"b": 1, "a": ["x"]}, None)),
        "no params": ModelSignature(inputs=Schema([ColSpec("long", "a")]), params=ParamSchema([])),
        "all parts": ModelSignature(inputs=Schema([ColSpec("long", "a")]), outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 2))]), params=ParamSchema([ParamSpec("t", "double", 0.5)])),
        "outputs alone": ModelSignature(outputs=Schema([ColSpec("string")])),
        "inferred from a table": infer_signature(frame, frame[["b"]], {"t": 0.5, "stop": ["a"]}),
        "inferred from a dict": infer_signature({"prompt": "x", "n": [1, 2], "o": {"k": [1.5]}}, ["text"]),
        "inferred from records": infer_signature([{"a": 1, "b": "x"}, {"a": 2}], "text"),
        "inferred from arrays": infer_signature({"x": np.zeros((2, 3), "float32"), "ids": np.zeros((2,), "int64")}, np.zeros((2, 1))),
        "llm chat": ModelSignature(llm.CHAT_MODEL_INPUT_SCHEMA, llm.CHAT_MODEL_OUTPUT_SCHEMA),
        "llm completions": ModelSignature(llm.COMPLETIONS_MODEL_INPUT_SCHEMA, llm.COMPLETIONS_MODEL_OUTPUT_SCHEMA),
        "llm embeddings": ModelSignature(llm.EMBEDDING_MODEL_INPUT_SCHEMA, llm.EMBEDDING_MODEL_OUTPUT_SCHEMA),
    }
    return cases | agent_signatures()


def agent_signatures() -> dict[str, ModelSignature]:
    from mlflow.types.agent import CHAT_AGENT_INPUT_SCHEMA, CHAT_AGENT_OUTPUT_SCHEMA
    from mlflow.types.responses import RESPONSES_AGENT_INPUT_SCHEMA, RESPONSES_AGENT_OUTPUT_SCHEMA

    return {
        "chat agent": ModelSignature(CHAT_AGENT_INPUT_SCHEMA, CHAT_AGENT_OUTPUT_SCHEMA),
        "responses agent": ModelSignature(RESPONSES_AGENT_INPUT_SCHEMA, RESPONSES_AGENT_OUTPUT_SCHEMA),
    }


# Signatures as older releases wrote them, or nobody did: what a release makes of them is recorded.
FOREIGN_SIGNATURES = {
    "required left out": {"inputs": '[{"type": "long", "name": "a"}, {"type": "array", "items": {"type": "string"}, "name": "b"}]', "outputs": '[{"type": "string"}]'},
    "property without required": {"inputs": '[{"name": "o", "type": "object", "properties": {"z": {"type": "long"}, "a": {"type": "string", "required": false}}}]', "outputs": None},
    "param with dtype": {"inputs": None, "params": '[{"name": "t", "dtype": "double", "default": 0.5, "shape": null}]'},
    "param of a whole default": {"inputs": None, "params": '[{"name": "t", "type": "double", "default": 1, "shape": null}]'},
    "other layout": {"inputs": '[\n  {"required":true,"name":"gr\u00f6\u00dfe","type":"double"}]', "outputs": None, "params": None},
    "tensor": {"inputs": '[{"type": "tensor", "name": "x", "tensor-spec": {"shape": [-1, 2], "dtype": "float32"}}]'},
    "unknown keys": {"inputs": '[{"type": "long", "name": "a", "comment": "x", "required": true}]', "more": 1},
}


def examples() -> dict[str, object]:
    """Name to an example, or to a pair of example and params."""
    when = pd.to_datetime(["2024-01-01 01:02:03.123456", None])
    return {
        "table": pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": ["x", None], "d": when, "e": [True, False], "f": np.array([0.1, 2], "float32")}),
        "table without names": pd.DataFrame([[1, 2.5], [3, 4.5]]),
        "table of number names": pd.DataFrame({1: [1], 2: [2.0]}),
        "table of objects": pd.DataFrame({"bytes": [b"hi", b""], "list": [[1, 2], []], "dict": [{"a": 1}, {"a": 2}], "mixed": [1, "x"], "missing": [None, 1.5]}),
        "table of text": pd.DataFrame({"größe": ["ä", "☃"]}),
        "table without rows": pd.DataFrame({"a": pd.Series([], dtype="int64")}),
        "array": np.array([[1.5, np.nan], [np.inf, -0.0]]),
        "array of float32": np.array([0.1, 1e20], "float32"),
        "array of int64": np.arange(6).reshape(3, 2),
        "array of bool": np.array([True, False]),
        "array of text": np.array(["a", "größe"]),
        "array of bytes": np.array([b"hi", b"you"]),
        "array of three dimensions": np.zeros((1, 2, 2), "uint8"),
        "empty array": np.zeros((0, 2)),
        "dict of arrays": {"x": np.array([[1.5, 2.5]], "float32"), "ids": np.array([1, 2])},
        "dict": {"a": 1, "b": [1.5, None], "c": {"d": "x", "e": [{"f": True}]}},
        "prompt": {"prompt": "<|user|>Tell me a joke<|end|>", "n": 1},
        "messages": {"messages": [{"role": "user", "content": "What is the capital of Spain?"}], "temperature": 0.5},
        "dict with numpy scalars": {"a": np.int64(1), "b": np.float32(0.1), "c": np.bool_(True)},
        "empty dict": {},
        "list of texts": ["a", "b\u007f", "größe"],
        "list of records": [{"a": 1, "b": 2.5}, {"a": 2, "b": float("nan")}],
        "list of values": [1, 2.0, None, True, 2**70],
        "empty list": [],
        "text": "just text",
        "int": 5,
        "float": 1e16,
        "bool": True,
        "bytes": b"\x00" * 60 + b"end",
        "datetime": MOMENT,
        "dict with datetimes and bytes": {"d": MOMENT, "day": dt.date(2024, 1, 1), "b": b"hi"},
        "csr": sparse.csr_matrix(np.array([[0, 1.5], [2, 0]])),
        "csc": sparse.csc_matrix(np.array([[0, 1, 0], [2, 0, 0]])),
        "text with params": ("text", {"temperature": 0.5, "stop": ["a"], "n": 3}),
        "messages with params": ({"messages": [{"role": "user", "content": "hi"}]}, {"max_tokens": 5}),
        "table with params": (pd.DataFrame({"a": [1]}), {"p": True}),
        "array with params": (np.array([1.5]), {"p": "x"}),
    }


def example_signature(example) -> ModelSignature | None:
    """What MLflow would infer for a model's inputs from the example; None where it infers nothing."""
    data = example[0] if isinstance(example, tuple) else example
    try:
        return infer_signature(data)
    except Exception:
        return None


def metadata() -> dict[str, dict]:
    """Keywords of mlflow.models.Model, beside the fixed ones of make_fixtures.py."""
    shared = ["a", "b"]
    return {
        "nothing": {},
        "ids that look like numbers": {"run_id": "123e4567890123456789012345678901", "model_uuid": "00000000000000000000000000000e12", "artifact_path": "1e3", "mlflow_version": "3.10"},
        "ids of digits": {"run_id": "12345678901234567890123456789012", "model_uuid": "01234567012345670123456701234567", "artifact_path": "017"},
        "numbers": {"metadata": {"int": 5, "big": 2**70, "float": 1.5, "whole": 2.0, "small": 1e-7, "large": 1e20, "nan": float("nan"), "inf": -float("inf"), "zero": -0.0, "none": None, "yes": True}},
        "texts": {"metadata": {name: name for name in ["yes", "No", "~", "1_000", "12:30:45", "2024-01-01", "0x1F", ".5", "1e3", "=", "<<", "", " x", "a: b", "#", "größe ☃ 😀", "a\nb\n", "\ttab", "it's", '"']}},
        "long texts": {"metadata": {"words": "word " * 60, "line": "x" * 300, "lines": "line one\nline two " * 12, "json": json.dumps([{"a": i} for i in range(40)]), "ä": "größe " * 40, "k" * 140: "long key"}},
        "dates": {"metadata": {"date": dt.date(2024, 1, 1), "time": MOMENT, "zone": MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=-5, minutes=-30)))}},
        "nested": {"metadata": {"list": [[], {}, [[1, [2]]], [{"a": 1, "b": {"c": []}}]], "map": {"x": {"y": {"z": ["a"]}}}}},
        "shared lists": {"metadata": {"first": shared, "second": shared, "third": {"again": shared}}},
        "keys that are no text": {"metadata": {1: "a", 2.5: "b"}, "flavors": {"python_function": {"config": {True: 1, False: 2}}}},
        "keys of several kinds": {"metadata": {"x": {1: "a", None: "b", "c": "d"}}},
        "environment variables": {"env_vars": ["OPENAI_API_KEY", "HF_TOKEN"]},
        "prompts": {"prompts": ["prompts:/joke/1", "prompts:/poem/12"]},
        "sizes": {"model_size_bytes": 2**53 + 1},
        "unknown keys": {"zz_unknown": {"a": "017", "b": [1, None]}, "_hidden": 1, "another": "x"},
        "unknown flavors": {"flavors": {"my_flavor": {"data": "x", "n": 1.0}, "other": {}, "python_function": {"loader_module": "x"}}},
    }


def resources() -> dict[str, dict]:
    from mlflow.models import resources as kinds
    from mlflow.models.auth_policy import AuthPolicy, SystemAuthPolicy, UserAuthPolicy

    endpoint = kinds.DatabricksServingEndpoint(endpoint_name="chat")
    return {
        "resources": {"resources": [endpoint, kinds.DatabricksVectorSearchIndex(index_name="a.b.c"), kinds.DatabricksTable(table_name="a.b.t")]},
        "auth policy": {"auth_policy": AuthPolicy(system_auth_policy=SystemAuthPolicy(resources=[endpoint]), user_auth_policy=UserAuthPolicy(api_scopes=["sql"]))},
    }


def environments() -> dict[str, dict[str, str]]:
    """Files of a model's environment, by name: written by old releases, by hand, or by nobody."""
    conda = "channels:\n- defaults\ndependencies:\n- python=3.8.13\n- pip\n- numpy=1.2\n- pip:\n  - mlflow\n  - scikit-learn==1.0\nname: mlflow-env\n"
    return {
        "conda alone": {"conda.yaml": conda},
        "conda and requirements": {"conda.yaml": conda, "requirements.txt": "mlflow>=1.20\npandas # comment\n\n# nothing\nscipy \\\n  >=1.0\n"},
        "constraints": {"python_env.yaml": "python: 3.9.1\ndependencies:\n- -r requirements.txt\n", "requirements.txt": "mlflow==2.9\n-c constraints.txt\ntorch --index-url https://x\n", "constraints.txt": "numpy<2\n-r more.txt\n", "more.txt": "six\n"},
        "build dependencies": {"conda.yaml": "dependencies:\n- pip<=22.3\n- setuptools=65.5\n- wheel\n- python==3.10.2\n- python=3.11\n"},
        "python env alone": {"python_env.yaml": "python: 3.10.12\nbuild_dependencies:\n- pip==22.3.1\ndependencies:\n- mlflow==2.1\n- ' torch==2.0 # cpu'\n"},
        "version that is a number": {"python_env.yaml": "python: 3.1\n"},
        "unpinned python": {"conda.yaml": "dependencies:\n- python>3.8\n"},
        "dependency that is a map": {"conda.yaml": "dependencies:\n- python=3.8\n- npm: [x]\n"},
    }
