"""Opens a model folder with the installed MLflow, whichever release it is, and predicts.

    python test/conformance/mlflow/open_folder.py < request.json

The request holds path, and input: {"table": {columns, rows}}, {"tensors": {name: float32 values}} or {"plain": any}.
Prints the release, the signature, the input example and the prediction as JSON.
"""
import json
import sys

import mlflow
import numpy as np
import pandas as pd


def plain(value):
    """A prediction of Python's as JSON has it."""
    if isinstance(value, pd.DataFrame):
        return [{str(key): plain(item) for key, item in row.items()} for row in value.to_dict(orient="records")]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return plain(value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else value


def data(given):
    if "table" in given:
        return pd.DataFrame(given["table"]["rows"], columns=given["table"]["columns"])
    if "tensors" in given:
        return {name: np.asarray(values, np.float32) for name, values in given["tensors"].items()}
    return given["plain"]


def main():
    request = json.load(sys.stdin)
    model = mlflow.pyfunc.load_model(request["path"])
    answer = {
        "release": mlflow.__version__,
        "signature": repr(model.metadata.signature),
        "example": plain(model.metadata.load_input_example(request["path"])),
        "prediction": plain(model.predict(data(request["input"]))),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
