"""Is the database that Modelwire makes the one that MLflow makes?

    python test/conformance/mlflow/compare_schema.py

Makes one empty store with the installed MLflow and one with Modelwire (through store-entry.ts), and compares every
table, column, key, check, index and trigger, and the rows of a fresh store. Exit 1 and a list when they differ.

Left out of the comparison, each because no program can tell:
- the text of CREATE statements (white space, quotes around names, the order of constraints);
- names of sqlite_autoindex_* (SQLite numbers them itself; their columns and origin are compared);
- the times of experiment 0 and the folder in its artifact_location, which belong to the store.
"""

import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ENTRY = Path(__file__).parent / "store-entry.ts"


def made_by_mlflow(folder: Path) -> Path:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", f"{folder}/mlruns")
    return folder / "mlflow.db"


def made_by_modelwire(folder: Path) -> Path:
    subprocess.run(["node", "--import", "tsx", str(ENTRY), "create", str(folder)], check=True)
    return folder / "mlflow.db"


def describe(file: Path) -> dict[str, object]:
    """Everything about a database that a program can notice, as facts that can be compared one by one."""
    db = sqlite3.connect(file)
    facts: dict[str, object] = {}
    rows = db.execute("select type, name, tbl_name, sql from sqlite_master order by 1, 2").fetchall()
    for kind, name, table, text in rows:
        if kind == "table":
            for column in db.execute(f"pragma table_xinfo('{name}')"):
                facts[f"{name}.{column[1]}"] = column
            facts[f"{name} foreign keys"] = db.execute(f"pragma foreign_key_list('{name}')").fetchall()
            facts[f"{name} checks"] = sorted(plain(check) for check in checks(text))
            facts[f"{name} constraint names"] = sorted(re.findall(r"CONSTRAINT (\w+)", text))
            facts[f"{name} generated"] = [plain(g) for g in re.findall(r"GENERATED ALWAYS AS (\(.*?\)) STORED", text)]
            unnamed = []
            for _, index, unique, origin, partial in db.execute(f"pragma index_list('{name}')").fetchall():
                columns = [c[1:] for c in db.execute(f"pragma index_xinfo('{index}')")]
                if index.startswith("sqlite_autoindex_"):
                    unnamed.append((unique, origin, partial, columns))
                else:
                    facts[f"index {index}"] = (name, unique, origin, partial, columns)
            facts[f"{name} implicit indexes"] = sorted(unnamed)
        elif kind != "index":
            facts[f"{kind} {name}"] = (table, plain(text))
    for table in (name for kind, name, _, _ in rows if kind == "table"):
        facts[f"{table} rows"] = [blank(row, file.parent) for row in db.execute(f'select * from "{table}"')]
    for pragma in ("journal_mode", "encoding", "auto_vacuum", "application_id", "user_version", "page_size"):
        facts[f"pragma {pragma}"] = db.execute(f"pragma {pragma}").fetchall()
    return facts


def checks(text: str) -> list[str]:
    """The bodies of CHECK (...), brackets matched."""
    found = []
    for match in re.finditer(r"CHECK \(", text):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append(text[match.end() : end - 1])
    return found


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace('"', "")).strip().rstrip(";").lower()


def blank(row: tuple, folder: Path) -> tuple:
    return tuple(
        "<time>" if isinstance(v, int) and v > 10**12 else v.replace(str(folder), "<store>") if isinstance(v, str) else v
        for v in row
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        theirs, ours = describe(made_by_mlflow(Path(one))), describe(made_by_modelwire(Path(two)))
    problems = [
        f"{fact}\n  MLflow:    {theirs.get(fact, 'absent')}\n  Modelwire: {ours.get(fact, 'absent')}"
        for fact in sorted(theirs.keys() | ours.keys())
        if theirs.get(fact) != ours.get(fact)
    ]
    print("\n".join(problems) or f"{len(theirs)} facts about the schema agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
