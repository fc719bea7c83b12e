"""Do MLflow and Modelwire work on one store, one after the other and at the same time?

    python test/conformance/mlflow/shared_store.py [ONNX_FOLDER]

MLflow makes a store and logs a run and a model; Modelwire reads that model, logs one of its own into the run, and
MLflow reads it. Then both write at once. Lastly a store that MLflow may not be asked to share: one at another revision.
ONNX_FOLDER defaults to models/tiny-phi3/onnx. Exit 1 at the first thing that is not so.
"""

import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def check(claim: str, holds: object, detail: object = "") -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {claim}{'' if holds else f': {detail!r}'}")
    if not holds:
        sys.exit(1)


def entry(*words: str, fails: bool = False):
    command = ["node", "--import", "tsx", str(HERE / "store-entry.ts"), *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if fails:
        return done.stderr
    if done.returncode != 0:
        sys.exit(f"FAIL {' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def logged_by_mlflow(store: Path):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    mlflow.set_experiment("shared")
    code = store / "script.py"
    code.write_text("import mlflow\nclass M(mlflow.pyfunc.PythonModel):\n    def predict(self, model_input: list[str]):\n        return model_input\nmlflow.models.set_model(M())\n")
    with mlflow.start_run() as run:
        mlflow.log_params({"lr": "0.1", "id": "1e3"})
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metric("bad", math.nan, step=2)
        info = mlflow.pyfunc.log_model(name="echo", python_model=str(code), metadata={"digits": "1e3"}, step=2)
    mlflow.pyfunc.load_model(info.model_uri)  # leaves registered_model_meta in the stored folder
    return mlflow.get_logged_model(info.model_id), run.info.run_id


def reads_mlflows(store: Path, model) -> None:
    got = entry("read", store, model.model_id)
    ours = got["model"]
    check("Modelwire reads MLflow's model", ours["modelId"] == model.model_id and ours["name"] == "echo", ours)
    check("its tags, params and run", (ours["tags"], ours["params"], ours["sourceRunId"]) == (model.tags, model.params, model.source_run_id), ours)
    check("its times to the millisecond", ours["creationTime"] == iso(model.creation_timestamp), ours["creationTime"])
    check("its flavors", ours["flavors"] == ["python_function"], ours["flavors"])
    signature = __import__("mlflow").models.get_model_info(f"models:/{model.model_id}").signature.to_dict()
    check("its signature to the byte", ours["signature"] == {k: v for k, v in signature.items() if k in ("inputs", "outputs", "params") and v}, ours["signature"])
    folder = Path(model.artifact_location)
    real = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    real.pop("registered_model_meta")
    listed = {f["path"]: int(f.get("sizeBytes", 0)) for f in got["files"]}
    check("its files, without what loading left there", listed == real, (listed, real))
    check("their bytes", got["bytes"] == sum(real.values()), got["bytes"])


def iso(ms: int) -> str:
    from datetime import datetime, timezone

    text = datetime.fromtimestamp(ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms % 1000:03d}Z" if ms % 1000 else f"{text}Z"


def writes_at_once(store: Path, run_id: str, folder: Path) -> None:
    import mlflow

    command = ["node", "--import", "tsx", str(HERE / "store-entry.ts"), "log", str(store), str(folder)]
    writers = [subprocess.Popen([*command, f"writer-{i}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(2)]
    client, count = mlflow.MlflowClient(), 0
    while any(w.poll() is None for w in writers):
        client.log_metric(run_id, "meanwhile", float(count), step=count)
        count += 1
    problems = [w.communicate()[1].decode() for w in writers if w.returncode != 0]
    check("Modelwire logs while MLflow writes", not problems, problems)
    check("and no value of MLflow's is lost", len(client.get_metric_history(run_id, "meanwhile")) == count, count)
    print(f"     {count} values meanwhile")
    names = {m.name for m in mlflow.search_logged_models(experiment_ids=["0"], output_format="list")}
    check("both models are there", {"writer-0", "writer-1"} <= names, names)


def refuses_others(folder: Path) -> None:
    for name, statements in {
        "older": ["create table alembic_version (version_num varchar(32))", "insert into alembic_version values ('0584bdc529eb')"],
        "without a revision": ["create table experiments (x)"],
        "with an empty alembic_version": ["create table alembic_version (version_num varchar(32))"],
    }.items():
        store = folder / name
        store.mkdir()
        with sqlite3.connect(store / "mlflow.db") as db:
            for statement in statements:
                db.execute(statement)
        before = (store / "mlflow.db").read_bytes()
        error = entry("create", store, fails=True)
        check(f"a database {name} is refused with both revisions", "dc11669786a5" in error and "is at schema revision" in error, error)
        check("and left as it is", (store / "mlflow.db").read_bytes() == before)


def main() -> None:
    onnx = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "models/tiny-phi3/onnx").resolve()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder).resolve() / "store"
        store.mkdir()
        os.chdir(store)  # MLflow puts new experiments' files under the working folder
        model, run_id = logged_by_mlflow(store)
        reads_mlflows(store, model)
        ours = entry("log", store, onnx, "phi", run_id)["model"]
        check("Modelwire logs into MLflow's run and experiment", ours["experimentId"] == model.experiment_id, ours)
        where = str(Path(model.artifact_location).parents[1])
        check("beside MLflow's model", ours["artifactLocation"] == f"{where}/{ours['modelId']}/artifacts", ours)
        subprocess.run([sys.executable, str(HERE / "open_store.py"), str(store), ours["modelId"], "--no-predict"], check=True)
        writes_at_once(store, run_id, onnx)
        refuses_others(Path(folder))


if __name__ == "__main__":
    main()
