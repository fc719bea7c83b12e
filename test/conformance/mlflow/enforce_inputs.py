"""Enforcement of signatures: Modelwire's verdict on generated pairs of a signature and an input, beside real MLflow's.

    python test/conformance/mlflow/enforce_inputs.py [--count N] [--seed N]  compares; exit 1 at any difference
    python test/conformance/mlflow/enforce_inputs.py --record --count 300    writes what MLflow does into test/mlmodel/enforce; npm run format puts it into lines

Bodies go through the functions of MLflow's scoring server, other data through PyFuncModel's validation alone. Compared are
acceptance, what the model would get, parameters in force, what the server would write of the data, and the class of message.
"""

import argparse
import contextlib
import datetime
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from data_cases import PANDAS_HAS_STR, decode, encode
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import _validate_prediction_input
from mlflow.pyfunc.scoring_server import _parse_json_data, infer_and_parse_data, predictions_to_json

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "mlmodel" / "enforce" / "mlflow-inputs.json"

# Classes of message, by MLflow's words; the first that is found counts. The same words are looked for in ours.
CLASSES = {
    "naive time": r"timezone-naive",
    "whole input": r"Failed to convert data",
    "params": r"Invalid parameters found|Parameters must be a dictionary",
    "request form": r"exactly one of the input fields|Dataframe (split|records) format must|valid JSON formatted string|un-named +model signature",
    "dataframe": r"not a valid dataframe representation",
    "cast": r"Data is not compatible with model signature",
    "missing inputs": r"Model is missing inputs|required by the model signature but missing",
    "missing inputs by count": r"Model inference is missing inputs",
    "object key": r"Failed to enforce schema for key",
    "missing properties": r"Missing required properties",
    "unknown properties": r"Invalid properties not defined in the schema",
    "dict": r"Expected data to be dictionary",
    "datatype": r"Failed to enforce schema of data .*with dtype",
    "list": r"Expected data to be list or numpy array",
    "scalar": r"Expected data to be scalar",
    "map": r"Expected data to be a dict|Expected all keys in the map",
    "incompatible": r"Incompatible input types for column",
    "convert": r"Failed to convert column",
    "to dataframe": r"error casting the input data to a DataFrame",
    "no dataframe": r"Expected input to be DataFrame",
    "shape": r"Shape of input",
    "dtype": r"dtype of input",
    "tensor kind": r"This model contains a tensor-based|This model contains a model signature with an unnamed",
    "tensor column": r"For pandas dataframe input, the first dimension|contains scalar values, which|could not be converted to the expected shape|Because the model signature requires tensor",
    "empty": r"Input DataFrame is empty",
    "lengths": r"length of values for each input/column",
    "invalid input": r"Invalid input\.",
}

# What MLflow takes and loses without a word, and Modelwire refuses: how our message says so, and why.
LOSSES = {
    "fraction": (r"a number with a fraction to", "1.5 becomes 1 in a column of whole numbers"),
    "int in float64": (r"an int that float64 does not hold", "2**53 + 1 becomes 2**53 in a float column, or because a null stands beside it"),
    "out of range": (r"out of range to", "2**31 wraps around, 1e300 becomes infinite, the year 9999 becomes 1816"),
    "truth": (r"Can not convert \w+ to bool without loss", "None, 'false' and 2 become False, True and True"),
    "text of a thing": (r"Can not convert \w+ to str without loss", "None becomes the text 'None', a dict its repr; in a list with null 'nan' is even cut"),
    "base64": (r"text that is no base64", "what is no base64 is skipped"),
    "zeros": (r"that end in zeros", "numpy cuts zeros off the end of text and bytes"),
    "time by guess": (r"text that is no time|Can not convert \w+ to datetime64\[ns\] without loss", "'12' is a year to numpy, '17 May 2024' is guessed by pandas, 1.5 becomes 1 ns"),
    "number by guess": (r"Can not convert \w+ to float64 without loss", "a dict and an empty text become NaN"),
    "rows": (r"a (row|record) that is no", "a text or a dict among lists is taken apart into letters or keys, an empty list among dicts is a row"),
    "instances": (r"instances with different keys", "values move up into other rows"),
}


# Older releases lose the labels of rows beside nested values, and then have rows of their own.
LOSES_LABELS = tuple(map(int, mlflow.__version__.split(".")[:2])) < (3, 17)

# Where MLflow's own error is one of numpy's that escapes: our class, and why.
ESCAPED = {
    "params": "a ragged list for a parameter",
}


# What pandas 2 takes and pandas 3 does not, which Modelwire follows: how our message says so, and why.
BEFORE_PANDAS_3 = {
    "text as time": (r"convert str to datetime64|type datetime, received type str|with dtype `datetime`", "text was an object, and objects become times"),
    "mixed times": (r"written in different ways", "times of a column could be written in different ways"),
    "text as number": (r"convert str to float64|type double, received type str|with dtype `double`", "text was an object, and objects become floats"),
}


def class_of(message: str) -> str:
    return next((name for name, words in CLASSES.items() if re.search(words, message, re.S)), "other")


def loss_in(ours: dict) -> "str | None":
    known, text = LOSSES, ours.get("message", "")
    if not PANDAS_HAS_STR:
        known, text = LOSSES | BEFORE_PANDAS_3, " ".join([text, *ours.get("violations", [])])
    return next((name for name, (words, _) in known.items() if re.search(words, text)), None)


def theirs(pair: dict) -> dict:
    """MLflow's verdict."""
    given = {key: value for key, value in pair["signature"].items() if value is not None}
    signature = ModelSignature.from_dict({"inputs": None, "outputs": None, "params": None, **given})
    metadata = Model(signature=signature)
    params = None if pair["params"] is None else decode(pair["params"])
    try:
        if pair["form"] == "json":
            parsed = _parse_json_data(pair["value"], metadata, signature.inputs)
            data, params = parsed.data, params if parsed.params is None else parsed.params
        elif pair["form"] == "data":
            data = decode(pair["value"])
        else:
            data = infer_and_parse_data({pair["form"]: decode(pair["value"])}, signature.inputs)
        data, params = _validate_prediction_input(data, params, signature.inputs, signature.params)
    except Exception as error:
        return {"message": str(error) or type(error).__name__}
    try:
        text = io.StringIO()
        predictions_to_json(data, text)
        output = text.getvalue()[len('{"predictions": ') : -1]
    except Exception as error:
        output = f"no JSON: {type(error).__name__}"
    return {"data": encode(data), "params": None if params is None else encode(params), "output": output}


def same(ours: object, found: object) -> bool:
    return ours == found or (not PANDAS_HAS_STR and without_str(ours) == without_str(found))


def without_str(coded: object) -> object:
    """Before pandas 3 a column of text is one of objects, and keeps None and NaN as they come."""
    if isinstance(coded, list):
        return [without_str(item) for item in coded]
    if not isinstance(coded, dict):
        return coded
    if coded.get("ndarray", {}).get("dtype") == "str" and coded["ndarray"]["shape"] == []:
        return coded["ndarray"]["items"][0]
    if "items" in coded:
        dtype = "object" if coded["dtype"] == "str" else coded["dtype"]
        return {**coded, "dtype": dtype, "items": [None if item == {"float": "nan"} else without_str(item) for item in coded["items"]]}
    return {key: without_str(value) for key, value in coded.items()}


def rows_of(coded: object) -> "int | None":
    return coded["table"]["rows"] if isinstance(coded, dict) and "table" in coded else None


def difference(ours: dict, found: dict) -> "str | None":
    if ("message" in ours) != ("message" in found):
        return f"ours {'refused: ' + ours['message'] if 'message' in ours else 'accepted'}; MLflow {'refused: ' + found['message'][-400:] if 'message' in found else 'accepted'}"
    if "message" in ours:
        escaped = class_of(found["message"]) == "other" and class_of(ours["message"]) in ESCAPED
        if not escaped and class_of(ours["message"]) != class_of(found["message"]):
            return f"class {class_of(ours['message'])}: {ours['message']}; MLflow class {class_of(found['message'])}: {found['message'][-400:]}"
        return None
    if LOSES_LABELS and rows_of(ours["data"]) != rows_of(found["data"]):
        return None
    for part in ("data", "params"):
        if not same(ours[part], found[part]):
            return f"{part}: ours {json.dumps(ours[part])}; MLflow {json.dumps(found[part])}"
    # Of an object without dimensions the server writes the keys, by mistake; the data has been compared already.
    bare = '"dtype": "object", "shape": []' in json.dumps(ours["data"])
    if PANDAS_HAS_STR and not bare and ours["output"] != found["output"]:
        return f"output: ours {ours['output']}; MLflow {found['output']}"
    return None


def pairs(count: int, seed: int) -> "list[dict]":
    entry = ["node", "--import", "tsx", str(HERE / "enforce-inputs.ts"), str(count), str(seed)]
    run = subprocess.run(entry, capture_output=True, text=True, cwd=HERE.parents[2])
    if run.returncode != 0:
        sys.exit(run.stderr)
    return [json.loads(line) for line in run.stdout.splitlines()]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=20261121)
    options.add_argument("--record", action="store_true")
    args = options.parse_args()
    accepted = refused = 0
    lost: "dict[str, int]" = {}
    wrong = []
    found_all = []
    for at, pair in enumerate(pairs(args.count, args.seed)):
        with contextlib.redirect_stderr(io.StringIO()):
            found = theirs(pair)
        found_all.append((pair, found))
        loss = loss_in(pair["ours"])
        if loss is not None and "message" not in found:
            lost[loss] = lost.get(loss, 0) + 1
            continue
        unlike = None if loss is not None else difference(pair["ours"], found)
        if unlike is not None:
            wrong.append(f"{at} {json.dumps(pair['signature'])} {pair['form']} {json.dumps(pair['value'])[:600]} {json.dumps(pair['params'])}\n  {unlike}")
        elif "message" in found:
            refused += 1
        else:
            accepted += 1
    if args.record:
        return record(found_all, args)
    for line in wrong[:40]:
        print(line)
    if wrong:
        sys.exit(f"mlflow {mlflow.__version__}: {len(wrong)} of {args.count} pairs differ; {accepted} accepted, {refused} refused, lost {lost}")
    print(f"peer: mlflow {mlflow.__version__}, pandas {pd.__version__}: {accepted + refused} pairs agree ({accepted} accepted, {refused} refused)")
    for name, number in sorted(lost.items()):
        print(f"  {number} that MLflow takes, refused here: {name}: {(LOSSES | BEFORE_PANDAS_3)[name][1]}")


def record(found_all: list, args: argparse.Namespace) -> None:
    rows = []
    for pair, found in found_all:
        verdict = {"class": class_of(found["message"])} if "message" in found else found
        loss = loss_in(pair["ours"])
        if loss is not None:
            verdict = {"loss": loss}
        rows.append({**{key: pair[key] for key in ("signature", "form", "value", "params")}, "verdict": verdict})
    origin = {
        "tool": f"mlflow {mlflow.__version__}, pandas {pd.__version__}, numpy {np.__version__}",
        "command": f"python test/conformance/mlflow/enforce_inputs.py --record --count {args.count} --seed {args.seed}",
        "date": datetime.date.today().isoformat(),
    }
    classes = {name: words for name, words in CLASSES.items()}
    losses = {name: words for name, (words, _) in LOSSES.items()}
    lines = ",\n".join(json.dumps(row) for row in rows)
    TABLE.write_text(f'{{"origin": {json.dumps(origin)},\n"classes": {json.dumps(classes)},\n"losses": {json.dumps(losses)},\n"pairs": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ["TZ"] = "UTC"
    main()
