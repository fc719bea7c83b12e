"""Does MLflow open a store whose service was killed in the middle of uploads, and find what was acknowledged whole?

    python test/conformance/mlflow/crash_store.py [ONNX_FOLDER]

Starts `modelwire serve`, logs a model, begins to log another, and kills the service with SIGKILL at a moment that moves on
from round to round; at the end the service starts once more, and MLflow looks. ONNX_FOLDER defaults to models/tiny-phi3/onnx.
Needs a finished `npm run build`. Exit 1 at the first thing that is not so.
"""

import hashlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModelStatus

ROOT = Path(__file__).parents[3]
CLI = ["node", str(ROOT / "server/bin/modelwire.js")]
ROUNDS = 12
QUESTION = {"messages": [{"role": "user", "content": "What is the capital of Spain?"}]}


def check(claim, holds, detail=""):
    print(f"{'ok  ' if holds else 'FAIL'} {claim}{'' if holds else f': {detail!r}'}")
    if not holds:
        sys.exit(1)


def serve(store):
    process = subprocess.Popen([*CLI, "serve", "--port", "0", "--store", store], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        if found := re.search(r'"address":"([^"]+)"', line):
            return process, found[1]
    raise SystemExit("the service did not start")


def log(address, folder, name, **options):
    return subprocess.Popen([*CLI, "log", folder, "--name", name, "--address", address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options)


def model_id(output):
    found = re.search(r"m-[0-9a-f]{32}", output)
    return found and found[0]


def main(folder=str(ROOT / "models/tiny-phi3/onnx")):
    with tempfile.TemporaryDirectory() as store:
        acknowledged = set()
        for turn in range(ROUNDS):
            process, address = serve(store)
            acknowledged.add(model_id(log(address, folder, f"whole-{turn}").communicate()[0]))
            half = log(address, folder, f"half-{turn}")
            time.sleep(0.12 + turn * 0.03)  # from before the first byte to after the answer
            process.send_signal(signal.SIGKILL)
            process.wait()
            if half.poll() is None:
                half.terminate()
            acknowledged.add(model_id(half.communicate()[0]))
        acknowledged.discard(None)
        process, _ = serve(store)
        process.send_signal(signal.SIGTERM)
        check("the service starts again, sweeps, and stops", process.wait() == 0)

        mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
        models = mlflow.MlflowClient().search_logged_models(experiment_ids=["0"], max_results=1000)
        by_status = {status: {m.model_id for m in models if m.status == status} for status in LoggedModelStatus}
        check("none is PENDING", not by_status[LoggedModelStatus.PENDING], by_status)
        ready = by_status[LoggedModelStatus.READY]
        # One that was killed between its commit and its answer is READY without its caller knowing; it must be whole as well.
        check(f"the {len(acknowledged)} acknowledged are READY", acknowledged <= ready, acknowledged - ready)
        print(f"peer: {len(acknowledged)} acknowledged, {len(ready - acknowledged)} committed without an answer, {len(models) - len(ready)} failed")
        originals = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir()}
        for one in sorted(ready):
            stored = Path(mlflow.artifacts.download_artifacts(f"models:/{one}")) / "model"
            if {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in stored.iterdir()} != originals:
                check(f"{one} is whole", False, sorted(p.name for p in stored.iterdir()))
        check("each READY one is whole, to the byte", True)
        on_disk = {p.parent.parent.name for p in Path(store).glob("mlruns/*/models/*/artifacts/MLmodel")}
        check("no other model has files", on_disk == ready, on_disk - ready)
        answer = mlflow.pyfunc.load_model(f"models:/{sorted(ready)[-1]}").predict(QUESTION)
        check("one of them answers in Python", "Madrid" in answer["choices"][0]["message"]["content"], answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
