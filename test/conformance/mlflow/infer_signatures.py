"""Infers, prints, writes and reads signatures with real MLflow, and JSON with Python; compares with infer-signatures.ts.

    python test/conformance/mlflow/infer_signatures.py           compares; exit 1 when anything differs
    python test/conformance/mlflow/infer_signatures.py --record  writes MLflow's answers to the hand-made examples into
                                                                 test/mlmodel/signature-table.json, for vitest
"""

import copy
import datetime
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature, infer_signature
from mlflow.models.utils import _enforce_schema

from data_cases import decode, encode

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "test/mlmodel/signature-table.json"
COMMAND = ["node", "--import", "tsx", "test/conformance/mlflow/infer-signatures.ts"]

# Modelwire refuses more than MLflow gives up on, but only what MLflow then loses, by these names ("losses"):
#   untaken    MLflow's own enforcement refuses the example, so that log_model drops the signature (MLflow issue 25593)
#   unreadable MLflow does not read back the signature that it wrote
#   unwritable MLflow fails when it writes the signature

# Releases before this one (found in 3.1.4 and 2.22.5) give up on a value that is None after one of a type, in dicts and
# lists inside of a list; they only did the other way round.
MERGES_NONE = (3, 17)
RELEASE = tuple(int(part) for part in mlflow.__version__.split(".")[:2])


class Warned(logging.Handler):
    """Which of inputs and outputs MLflow gave up on."""

    def __init__(self):
        super().__init__()
        self.gave_up = []

    def emit(self, record):
        message = record.getMessage()
        self.gave_up += [key for key in ("input", "output") if f"Failed to infer schema for {key}s" in message]


def infer(case: dict) -> dict:
    """MLflow's verdict on an example, in the form of Modelwire's."""
    given = {key: decode(case[key]) for key in ("input", "output", "params") if key in case}
    handler = Warned()
    logger = logging.getLogger("mlflow.models.signature")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            signature = infer_signature(given.get("input"), given.get("output"), given.get("params"))
    except Exception as error:
        return {"error": repr(error)}
    finally:
        logger.removeHandler(handler)
    hints = sum("integer column" in str(warning.message) for warning in caught)
    verdict = {"text": repr(signature), "hints": hints, "gaveUp": handler.gave_up, "losses": []}
    try:
        verdict["json"] = signature.to_dict()
    except Exception:
        return {**verdict, "losses": ["unwritable"]}
    try:
        again = ModelSignature.from_dict(verdict["json"])
        assert again.to_dict() == verdict["json"], "reading and writing changes the signature"
    except TypeError:
        verdict["losses"].append("unreadable")
    if given.get("input") is not None and signature.inputs and "input" not in handler.gave_up:
        try:
            with warnings.catch_warnings(action="ignore"):
                _enforce_schema(copy.deepcopy(given["input"]), signature.inputs)
        except Exception:
            verdict["losses"].append("untaken")
    return verdict


def read(case: dict) -> dict:
    """MLflow's reading of a signature's texts."""
    try:
        signature = ModelSignature.from_dict(case["given"])
        return {"json": signature.to_dict(), "text": repr(signature)}
    except Exception as error:
        return {"error": repr(error)}


def load(case: dict) -> dict:
    """What Python's json module reads, and writes of it."""
    try:
        value = json.loads(case["text"])
    except ValueError as error:
        return {"error": repr(error)}
    return {"data": encode(value), "written": json.dumps(value)}


def gives_up_on_none(ours: dict, theirs: dict) -> bool:
    return RELEASE < MERGES_NONE and {*ours.get("gaveUp", ())} < {*theirs.get("gaveUp", ())}


def difference(ours: dict, theirs: dict) -> str | None:
    if "error" in ours:
        return None if "error" in theirs or {"unreadable", "unwritable"} & {*theirs.get("losses", ())} else "Modelwire alone fails"
    if "error" in theirs:
        return "MLflow alone fails"
    if gives_up_on_none(ours, theirs):
        return None
    for key in sorted(ours.keys() & theirs.keys()):
        if ours[key] != theirs[key]:
            return key
    if "refused" not in ours:
        return None
    if ours["refused"] and not theirs["gaveUp"] and not theirs["losses"]:
        return "refused without a reason"
    if theirs["gaveUp"] and not ours["refused"]:
        return "not refused"
    return None


def main() -> None:
    logging.getLogger("mlflow").handlers = [logging.NullHandler()]
    logging.getLogger("mlflow").propagate = False
    made = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    cases = json.loads(made)
    different = 0
    for kind, judge in (("inferences", infer), ("signatures", read), ("json", load)):
        for case in cases[kind]:
            case["theirs"] = judge(case)
            if key := difference(case["ours"], case["theirs"]):
                different += 1
                print(f"{kind}: {key}: {json.dumps(case)[:2000]}\n")
    if "--record" in sys.argv:
        record(cases)
    if different:
        sys.exit(f"MLflow {mlflow.__version__} differs in {different} cases")
    agreeing = sum(map(len, cases.values()))
    older = sum(gives_up_on_none(case["ours"], case["theirs"]) for case in cases["inferences"])
    note = f" ({older} of them but for None after a type)" if older else ""
    print(f"peer: mlflow {mlflow.__version__}: {agreeing} inferences, texts and round trips agree{note}")


def record(cases: dict) -> None:
    origin = {
        "tool": f"mlflow {mlflow.__version__}",
        "command": "python test/conformance/mlflow/infer_signatures.py --record",
        "date": datetime.date.today().isoformat(),
    }
    table = {"origin": origin}
    for kind in ("inferences", "signatures", "json"):
        fixed = (case for case in cases[kind] if case.get("fixed"))
        table[kind] = [{key: case[key] for key in case if key not in ("ours", "fixed")} for case in fixed]
    TABLE.write_text(json.dumps(table, indent=0) + "\n")


if __name__ == "__main__":
    main()
