"""Data as JSON and back, for comparisons of Modelwire with real MLflow; data-cases.ts says what stands for what.

It never knows what is compared.
"""

import base64
import datetime

import numpy as np
import pandas as pd

EPOCH = datetime.datetime(1970, 1, 1)
PANDAS_HAS_STR = int(pd.__version__.split(".")[0]) >= 3


def decode(coded):
    """The Python object that an encoded value stands for."""
    if coded is None or isinstance(coded, (bool, str)):
        return coded
    if isinstance(coded, list):
        return [decode(item) for item in coded]
    ((tag, value),) = coded.items()
    return DECODERS[tag](value)


def encode(value):
    """An object as JSON, the way data-cases.ts encodes it. TypeError for what Modelwire's data cannot be."""
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return {"int": str(value)}
    if type(value) is float:
        return {"float": repr(value)}
    if type(value) in (bytes, bytearray):
        return {"bytes": base64.b64encode(value).decode()}
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime.datetime):
        nanoseconds = getattr(value, "nanosecond", 0)
        return {"datetime": str((value - EPOCH) // datetime.timedelta(microseconds=1) * 1000 + nanoseconds)}
    if type(value) is datetime.date:
        return {"date": str((value - EPOCH.date()).days * 86_400 * 10**9)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[entry_key(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)):
        return {"ndarray": encode_array(np.asarray(value))}
    if isinstance(value, pd.Series):
        return encode(value.to_frame())
    if isinstance(value, pd.DataFrame):
        columns = [[entry_key(name), encode_column(value.iloc[:, i])] for i, name in enumerate(value.columns)]
        return {"table": {"rows": len(value), "columns": columns}}
    raise TypeError(f"{type(value)} is no data of Modelwire's")


def entry_key(key):
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        return int(key)
    if not isinstance(key, str):
        raise TypeError(f"a key of {type(key)}")
    return str(key)


def encode_column(series):
    if isinstance(series.dtype, np.dtype):
        return encode_array(series.to_numpy())
    if isinstance(series.dtype, pd.StringDtype):
        items = [None if pd.isna(item) else str(item) for item in series]
        return {"dtype": "str", "shape": [len(items)], "items": items}
    raise TypeError(f"a column of {series.dtype}")


def encode_array(array):
    kind = array.dtype.kind
    if kind in "OUS":
        dtype = {"O": "object", "U": "str", "S": "bytes"}[kind]
        items = [encode(item if kind == "O" else item.item()) for item in array.reshape(-1)]
        return {"dtype": dtype, "shape": list(array.shape), "items": items}
    if kind == "M":
        array = array.astype("datetime64[ns]")
    data = np.ascontiguousarray(array).tobytes()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": base64.b64encode(data).decode()}


def decode_array(coded):
    """An ndarray; a numpy scalar when it has no dimensions."""
    dtype, shape = coded["dtype"], coded["shape"]
    if "items" in coded:
        items = [decode(item) for item in coded["items"]]
        if dtype == "object":
            array = np.empty(len(items), dtype=object)
            for i, item in enumerate(items):
                array[i] = item
        else:
            array = np.array(items, dtype=dtype)
        return array.reshape(shape)[()]
    if dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    return np.frombuffer(base64.b64decode(coded["data"]), dtype=dtype).reshape(shape).copy()[()]


def decode_column(coded):
    """A Series. Text is pandas' str where pandas has one; numpy's bytes are objects in pandas."""
    if coded["dtype"] in ("str", "bytes"):
        dtype = "str" if coded["dtype"] == "str" and PANDAS_HAS_STR else object
        return pd.Series([decode(item) for item in coded["items"]], dtype=dtype)
    array = decode_array(coded)
    return pd.Series(array, dtype=array.dtype)


def decode_table(coded):
    names = [name for name, _ in coded["columns"]]
    if not names:
        return pd.DataFrame(index=range(coded["rows"]))
    table = pd.concat([decode_column(column) for _, column in coded["columns"]], axis=1)
    table.columns = pd.RangeIndex(len(names)) if names == list(range(len(names))) else names
    return table


def decode_datetime(nanoseconds):
    microseconds, rest = divmod(int(nanoseconds), 1000)
    if rest:
        raise ValueError("a datetime.datetime has whole microseconds")
    return EPOCH + datetime.timedelta(microseconds=microseconds)


DECODERS = {
    "int": int,
    "float": float,
    "bytes": base64.b64decode,
    "datetime": decode_datetime,
    "date": lambda nanoseconds: decode_datetime(nanoseconds).date(),
    "dict": lambda entries: {key: decode(item) for key, item in entries},
    "ndarray": decode_array,
    "table": decode_table,
}
