"""Records how PyYAML writes and reads scalars, for test/mlmodel/yaml.test.ts.

    python test/conformance/mlflow/record_yaml.py          compares the table with the installed PyYAML; exit 1 when it differs
    python test/conformance/mlflow/record_yaml.py --write  writes the table anew
"""

import datetime
import json
import random
import sys
from pathlib import Path

import yaml

TABLE = Path(__file__).parents[2] / "mlmodel" / "pyyaml-table.json"

TEXTS = """yes no on off y n Yes NO True false TRUE null Null ~ 1e3 12e45 1.0e3 1.5e+3 1e+3 .5 5. -.5 +1 -1 0 00 08 017 0o17 0x1F 0b1 0b
1_000 _1 12:30:45 1:2 190:20:30.15 2024-01-01 2024-1-1 2024-01-01T10:00:00Z 2024-13-99 .inf -.inf .nan .NaN nan inf = << < & * ! !x &x *x
? - : ?x -x :x x: a:b a#b #a - -- --- ... --x ...x [ ] { } , [a] {a} a,b @a `a %a |a >a "a" 'a' a"b it's ~a a\\b
123456789012345678 000123456789012345 7e10 3.17.2 3.11.9 m-0123456789abcdef0123456789abcdef 01234567890123456789012345678901 1234567890123456789012345678e123""".split()
TEXTS += ["", " ", " a", "a ", "a  b", "a: b", "a #b", "- a", "? a", ": a", "a:", "a\nb", "a\n", "\na", "a\n\nb", "a \nb", "a\n b", "\n", "\t", "a\tb", "a\r\nb"]
TEXTS += ["\x00", "\x07\x1b", "\x7f", "\x85", "\xa0", "größe", "☃", "😀", "\ufeff", "\u2028x", "\ud7ff", "\ue000", "\ufffd", "x" * 200]
TEXTS += ["word " * 40, "it's " * 40, ("a: " * 50), "größe " * 30, "a  b " * 30, "x" * 90 + " y", " " * 100 + "x", "a\n" * 30, "line one\nline two " * 8]
TEXTS += [json.dumps([{"type": "string", "name": f"c{i}", "required": True} for i in range(12)])]


def texts() -> list[str]:
    pick = random.Random(20261121)
    alphabet = list("ab1 0:.-#'\"\n\t{}[],&*!|>%@`?~=_\\é☃😀/+eE")
    made = ["".join(pick.choice(alphabet) for _ in range(pick.randint(1, 12))) for _ in range(400)]
    made += ["".join(pick.choice(alphabet) for _ in range(pick.randint(60, 200))) for _ in range(60)]
    return [*TEXTS, *made]


def plain(value: object) -> dict:
    """A loaded scalar as JSON, with its kind."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return {"value": value}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, (datetime.date, datetime.datetime)):
        return {"timestamp": True}
    return {"other": type(value).__name__}


def loads(text: str) -> dict:
    try:
        return plain(yaml.safe_load(f"k: {text}\n")["k"])
    except Exception:
        return {"error": True}


def table() -> dict:
    dump = lambda value: yaml.safe_dump(value, default_flow_style=False)
    documents = [
        {"b": 1, "a": [1, {"y": [], "x": {}}, ["p", ["q"]], "r: s"], "c": {"d": None, "e": True}},
        {"floats": [1.5, 1e20, 1e-7, -0.25, 1e16, 123456789.125], "n": -3},
        {"word " * 30: "word " * 30, "x" * 122: 1, "x" * 123: {"y": 1}, "": 0, "yes": 1, "1": 2},
        {"deep": {"deeper": {"deepest": "word " * 40, "list": ["word " * 40, {"k": "it's " * 40}]}}},
        {"é": "é", "😀": 1, "\uffff": 2, "z": 3},
        [],
        {},
        ["a", {"b": "c", "d": "e"}],
    ]
    return {
        "origin": {"tool": f"PyYAML {yaml.__version__}", "command": "python test/conformance/mlflow/record_yaml.py --write"},
        "texts": [[text, dump({"k": text}), dump({text: 1})] for text in texts()],
        "documents": [[document, dump(document)] for document in documents],
        "plain": [[text, loads(text)] for text in dict.fromkeys(TEXTS) if "\n" not in text and text == text.strip() and not text.startswith(("'", '"', "[", "{", "#", "|", ">", "&", "*", "!", "%", "@", "`"))],
    }


if __name__ == "__main__":
    found = json.loads(json.dumps(table()))
    if "--write" in sys.argv:
        TABLE.write_text(json.dumps(found, indent=0) + "\n")
    elif json.loads(TABLE.read_text()) != found:
        sys.exit(f"{TABLE.name} is not what PyYAML {yaml.__version__} does; run with --write and look at the difference")
