"""Records how PyYAML writes and reads scalars and whole documents, for test/mlmodel/yaml.test.ts.

    python test/conformance/mlflow/record_yaml.py          compares the table with the installed PyYAML; exit 1 when it differs
    python test/conformance/mlflow/record_yaml.py --write  writes the table anew
"""

import base64
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


def dump(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=False)


def coded(value: object) -> object:
    """A loaded value as JSON that tells its kinds apart: yaml.test.ts reads it."""
    if isinstance(value, dict):
        return {"map": [[coded(key), coded(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [coded(item) for item in value]
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, set):
        return {"set": sorted((coded(item) for item in value), key=json.dumps)}
    if isinstance(value, (datetime.date, datetime.datetime)):
        return {"timestamp": str(value)}
    kind = plain(value)
    return kind["value"] if "value" in kind else kind


def read(text: str) -> list:
    """[text, value, text written again], without the last two when PyYAML refuses the text."""
    try:
        value = yaml.safe_load(text)
        return [text, coded(value), dump(value)]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, OverflowError):
        return [text]


# What people and other programs write, and what only looks like it.
WRITTEN = """a: &x [1]\\nb: *x|a: &x [1]\\nb: &x [2]|a: *x|a: &x {b: 1}\\nc: {<<: *x, d: 2}|a: &x {b: 1, e: 5}\\nc:\\n  b: 3\\n  <<: *x|a: &x {b: 1}\\ny: &y {b: 2, z: [1]}\\nc:\\n  <<: [*x, *y]
<<: 1|<<: [1]|<<: {a: 1}\\na: 2|'<<': 1|a: <<|a: =|=: 1|a: 2024-01-01|2024-01-01: a|a: 2024-13-01|a: 2023-02-29|a: 2024-02-29|a: 1900-02-29|a: 2000-02-29|a: 0000-01-01|a: 0001-01-01
a: 2024-01-01T10:00:00Z|a: 2024-1-1 1:02:03.123456789 -5:30|a: 2024-01-01 10:00:00.1|a: 2024-01-01 10:00:00.0|a: 2024-01-01 10:00:00 +01|a: 2024-01-01 25:00:00|a: 2024-01-01 10:00:00 -00:00|a: 2024-01-01 10:00:00 +24:00|a: 2024-1-1
a: !!int '12'|a: !!int x|a: !!float 1|a: !!float 1.5|a: !!str 2024-01-01|a: ! 12|a: ! '12'|a: !!bool yes|a: !!bool x|a: !!null x|a: !!timestamp '2024-01-01'|a: !!seq [1]|a: !!seq {a: 1}|a: !!map [1]|!!int '1': x|!!str 1: x|a: !foo b|a: !!binary aGk=|a: !!binary "aGk"|a: !!binary [x]|a: !!binary ""|- !!binary |\\n  aGk=\\n- [!!binary aGk=]|a: !!set {b, a}|a: !!set {}|a: !!set [a]|- !!set {1, 2}|a: &x !!set {b}\\nc: [*x]|a: !!python/tuple [1]|a: !!python/object/apply:os.system [id]
a: 0_|a: 0x_|a: -0b_1|a: 0b12|a: +12|a: -0|a: -0.0|a: 1.0|a: 08.5|a: 1:2:3.5|a: -1:30|a: +.inf|a: .NaN|a: 1e3|a: 1.0e+3|a: 1_0.5|a: 123456789012345678901234567890|a: 0777|a: 9007199254740993|a: 1e400|a: 1.0e+400
1: a\\ntrue: b\\n1.0: c|null: 1\\n~: 2|1: a\\nb: c|2: a\\n10: b\\n-1: c|1.5: a|true: 1\\nfalse: 2|: 1|? a\\n: b\\n? c|? [a]\\n: 1|{a: 1}: 2|? {a: 1}|a: 1\\na: 2|a: 1\\n'a': 2
%YAML 1.1\\n---\\na: 1|%YAML 1.2\\n---\\na: 1|a: 1\\n---\\nb: 2|--- {a: 1}|a: 1\\n...\\n|# only\\n|a: b # c\\n# d\\n|a: b#c|'a' : 1|a : 1|a:1|---|a: 'b\\nc'|a: b\\n  c\\n\\n  d|a: "b\\n  c \\\\\\n  d"|a: "\\\\x41\\\\u263a\\\\U0001F600\\\\n\\\\/\\\\e"|a: "\\\\q"
a:\\n\\t- b|a: \\tb|a:\\tb|- a\\n-\\tb|{a: 1,\\tb: 2}|a: 'x\\n\\ty'|a: "x\\ty"|a: b\\t|a: b\\t# c|# \\tc\\na: b|a: |\\n  x\\n  y\\n\\n|a: |-\\n  x\\n|a: |+\\n  x\\n\\n|a: >\\n  x\\n  y\\n\\n  z\\n|a: |2\\n   x\\n
{a:1}|{a: b:c}|[a:b]|{'a':1}|a: b: c|a: [b\\n]|a: {b\\n}|{a, b: }|[a, , b]|[a,]|[,a]|a: -|a: - b|- - a\\n  - b|- a: 1\\n  b: 2|a:\\n- b\\n- c|a:\\n  - b|a: %x|a: @x|a: `x|a: [b|a: 'b|a: }|  a: 1\\n b: 2|a:\\n  b: 1\\n c: 2|[a]: 1|- &x a\\n- *x|- &x 2024-01-01\\n- *x|a: &x\\n  b: 1\\nc: *x|&x a: 1\\nb: *x"""


def written() -> list[str]:
    """Of each line the texts between bars; a bar that is a block scalar's begins a line end."""
    import re

    parts = [part for line in WRITTEN.split("\n") for part in re.split(r"\|(?![-+2]?\\n)", line)]
    return [part.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\") for part in parts]


def random_value(pick: random.Random, shared: list, depth: int = 0) -> object:
    kind = pick.random()
    if shared and kind < 0.08:
        return pick.choice(shared)
    if depth < 4 and kind < 0.45:
        if kind < 0.25:
            value: object = {random_key(pick): random_value(pick, shared, depth + 1) for _ in range(pick.randint(0, 4))}
        else:
            value = [random_value(pick, shared, depth + 1) for _ in range(pick.randint(0, 4))]
        if pick.random() < 0.3:
            shared.append(value)
        return value
    return random_scalar(pick)


def random_key(pick: random.Random) -> object:
    if pick.random() < 0.05 and not isinstance(scalar := random_scalar(pick), (bytes, set)):
        return scalar
    return pick.choice([*TEXTS[:90], "a", "b", "c", "key", "größe"])


def random_scalar(pick: random.Random) -> object:
    moment = datetime.datetime(pick.randint(1, 9999), pick.randint(1, 12), pick.randint(1, 28), pick.randint(0, 23), 5, 9, pick.choice([0, 120, 999999]))
    binary = bytes(pick.randint(0, 255) for _ in range(pick.choice([0, 1, 56, 57, 58, 200])))
    zone = datetime.timezone(datetime.timedelta(minutes=pick.randint(-720, 720)))
    return pick.choice([None, True, False, pick.randint(-5, 300), pick.getrandbits(80), pick.uniform(-2, 2), float(pick.randint(-3, 3)), 1e20, 1e-7, moment, moment.date(), moment.replace(tzinfo=zone), binary, {"a", "b"}, *pick.sample(TEXTS, 8)])


def random_documents() -> list[str]:
    pick = random.Random(20261122)
    made = []
    for _ in range(200):
        shared: list = []
        made.append(dump({f"k{i}": random_value(pick, shared) for i in range(pick.randint(1, 5))}))
    bent = []
    for text in made:
        if 0 < len(text) < 400:
            at = pick.randrange(len(text))
            bent.append(text[:at] + pick.choice([*" :-#'\"\n[]{},&*!|>?%~", "\t", "", "  ", "<<: *id001\n"]) + text[at + pick.randint(0, 1) :])
    return made + bent


def table() -> dict:
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
        "read": [read(text) for text in dict.fromkeys([*written(), *random_documents()])],
        "plain": [[text, loads(text)] for text in dict.fromkeys(TEXTS) if "\n" not in text and text == text.strip() and not text.startswith(("'", '"', "[", "{", "#", "|", ">", "&", "*", "!", "%", "@", "`"))],
    }


if __name__ == "__main__":
    found = json.loads(json.dumps(table()))
    if "--write" in sys.argv:
        TABLE.write_text(json.dumps(found, indent=0) + "\n")
    elif json.loads(TABLE.read_text()) != found:
        sys.exit(f"{TABLE.name} is not what PyYAML {yaml.__version__} does; run with --write and look at the difference")
