"""Model folders, signatures, input examples and MLmodel texts as a release of MLflow writes and reads them.

    python test/conformance/mlflow/make_fixtures.py --compare  compares test/fixtures/mlflow/<release> with the installed release
    python test/conformance/mlflow/make_fixtures.py --write    writes that folder anew

The releases that are recorded: requirements.txt and requirements-*.txt beside this folder pin them. With
MODELWIRE_EXTRA_SITE_PACKAGES, a folder that has torch and transformers, the transformers model is made as well. The
comparison leaves out what depends on the machine: versions of Python and of packages other than MLflow, and sizes.
The newest release also records what it makes of the older ones' MLmodel files, so write the older ones first.
"""

import datetime
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
os.environ.update(
    MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK="true",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    MLFLOW_TRACKING_URI="sqlite:///:memory:",
    HF_HUB_OFFLINE="1",
)
if extra := os.environ.get("MODELWIRE_EXTRA_SITE_PACKAGES"):
    sys.path.append(extra)

import fixture_cases as cases  # noqa: E402
import fixture_models as models  # noqa: E402
import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import yaml  # noqa: E402
from data_cases import encode  # noqa: E402
from mlflow.models import Model  # noqa: E402
from mlflow.models.utils import _Example  # noqa: E402
from mlflow.utils.environment import _PythonEnv  # noqa: E402
from mlflow.utils.requirements_utils import _parse_requirements  # noqa: E402
from record_yaml import coded  # noqa: E402

logging.disable(logging.ERROR)

RELEASE = mlflow.__version__
FIXTURES = Path(__file__).parents[2] / "fixtures" / "mlflow"
REQUIREMENTS = [f"mlflow=={RELEASE}", "numpy<3"]
BINARY = (".pkl", ".safetensors", ".bin")
PACKAGES = "cloudpickle numpy onnx onnxruntime pandas pip pydantic PyYAML scipy setuptools torch transformers wheel".split()


def fresh(name: str, **keys) -> Model:
    """Ids and times that do not change, and that are awkward to write: a number to other YAML parsers."""
    ids = {"model_uuid": "123e4567890123456789012345678901", "run_id": "00000000000000000000000000000e12", "artifact_path": name}
    return Model(**{**ids, "utc_time_created": cases.MOMENT, **keys})


def reading(folder: Path) -> dict:
    """What the installed release reads in a model's folder."""
    model = Model.load(folder)
    info = model.saved_input_example_info
    read = {**mlmodel_reading(model), "environment": environment_reading(folder)}
    if info is not None:
        read["example"] = example_reading(model.load_input_example(str(folder)))
        read["params"] = encode(model.load_input_example_params(str(folder)))
    return read


def mlmodel_reading(model: Model) -> dict:
    signature = model.signature
    return {
        "yaml": model.to_yaml(),
        "flavors": coded(model.flavors),
        "metadata": coded(model.metadata),
        "signature": signature and signature.to_dict(),
        "text": signature and repr(signature),
    }


def example_reading(data) -> object:
    if hasattr(data, "toarray"):
        return {"sparse": encode(data.toarray())}
    return encode(data)


def environment_reading(folder: Path) -> dict:
    """What MLflow would install, as mlflow.utils.virtualenv finds it; "refused" when it cannot."""
    env = Model.load(folder).flavors.get("python_function", {}).get("env") if (folder / "MLmodel").exists() else None
    names = env if isinstance(env, dict) else {"conda": env or "conda.yaml", "virtualenv": "python_env.yaml"}
    try:
        if (folder / names["virtualenv"]).exists():
            found = _PythonEnv.from_yaml(folder / names["virtualenv"])
        else:
            deps = _PythonEnv.get_dependencies_from_conda_yaml(folder / names["conda"])
            if (folder / "requirements.txt").exists():
                deps["dependencies"] = ["-r requirements.txt"]
            found = _PythonEnv(**deps)
        parsed = list(_parse_requirements(found.dependencies, is_constraint=False, base_dir=str(folder)))
    except Exception as error:
        return {"refused": type(error).__name__}
    return {
        "python": found.python,
        "build_dependencies": found.build_dependencies,
        "requirements": [line.req_str for line in parsed if not line.is_constraint],
        "constraints": [line.req_str for line in parsed if line.is_constraint],
    }


def made_folders(target: Path) -> dict:
    """Saves every model under `target` and gives their readings."""
    work = Path(tempfile.mkdtemp()).resolve()
    before = Path.cwd()
    os.chdir(work)
    try:
        models.sources(work)
        (work / "pins.txt").write_text("numpy<3\nprotobuf<8\n")
        makers = models.makers(fresh, REQUIREMENTS)
        if extra:
            makers["transformers_chat"] = lambda name: models.transformers_chat(name, fresh, REQUIREMENTS)
        for name, save in makers.items():
            save(name)
            shutil.copytree(work / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in sorted(target.rglob("*")):
            if path.suffix in BINARY:
                path.write_bytes(b"")
            elif path.is_file() and path.suffix != ".onnx":
                path.write_text(path.read_text().replace(str(work), "/ws"))
        return {name: reading(target / name) for name in makers}
    finally:
        os.chdir(before)
        shutil.rmtree(work)


def signature_cases() -> list:
    made = []
    for name, signature in cases.signatures().items():
        model = fresh(name, signature=signature)
        made.append({"name": name, "mlmodel": model.to_yaml(), **reread(model.to_yaml())})
    for name, texts in cases.FOREIGN_SIGNATURES.items():
        text = yaml.safe_dump({"flavors": {}, "model_uuid": None, "signature": texts, "utc_time_created": str(cases.MOMENT)})
        made.append({"name": name, "mlmodel": text, **reread(text)})
    return made


def mlmodel_cases() -> list:
    made = []
    for name, keys in (cases.metadata() | cases.resources()).items():
        text = fresh(name, **keys).to_yaml()
        made.append({"name": name, "mlmodel": text, **reread(text)})
    return made


def reread(text: str) -> dict:
    """What mlmodel_reading gives, without "yaml" when that is the text itself."""
    try:
        read = mlmodel_reading(Model.from_dict(yaml.safe_load(text)))
    except Exception as error:
        return {"refused": type(error).__name__}
    if read["yaml"] == text:
        del read["yaml"]
    return read


def example_cases() -> list:
    made = []
    for name, given in cases.examples().items():
        example = _Example(given)
        signature = cases.example_signature(given)
        data, params = given if isinstance(given, tuple) else (given, None)
        model = fresh(name, signature=signature, saved_input_example_info=example.info)
        case = {"name": name, "params": encode(params), "info": example.info, "stored": example.json_input_example, "serving": example.json_serving_input}
        case["signature"] = signature and signature.to_dict()
        try:
            case["data"] = None if hasattr(data, "toarray") else encode(data)
        except TypeError:
            case["data"] = None
        with tempfile.TemporaryDirectory() as folder:
            example.save(folder)
            try:
                case["read"] = example_reading(model.load_input_example(folder))
            except Exception as error:
                case["refused"] = type(error).__name__
            case["read_params"] = encode(model.load_input_example_params(folder))
        # Without a signature the same file may be read to something else.
        with tempfile.TemporaryDirectory() as folder:
            example.save(folder)
            case["read_without_signature"] = example_reading(Model(saved_input_example_info=example.info).load_input_example(folder))
        made.append(case)
    return made


def environment_cases() -> list:
    made = []
    for name, files in cases.environments().items():
        with tempfile.TemporaryDirectory() as folder:
            for file, text in files.items():
                (Path(folder) / file).write_text(text)
            made.append({"name": name, "files": files, "read": environment_reading(Path(folder))})
    return made


def older_rereads() -> dict:
    """What this release makes of MLmodel files that older ones wrote."""
    found = {}
    for release in sorted(path.name for path in FIXTURES.iterdir() if path.is_dir() and path.name != RELEASE):
        for path in sorted((FIXTURES / release / "models").glob("*/MLmodel")):
            found[f"{release}/models/{path.parent.name}"] = Model.load(path).to_yaml()
        for case in json.loads((FIXTURES / release / "mlmodels.json").read_text()):
            found[f"{release}/mlmodels/{case['name']}"] = Model.from_dict(yaml.safe_load(case["mlmodel"])).to_yaml()
    return found


def origin() -> dict:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            pass
    return {
        "mlflow": RELEASE,
        "python": sys.version.split()[0],
        "packages": versions,
        "command": "python test/conformance/mlflow/make_fixtures.py --write",
        "date": datetime.date.today().isoformat(),
    }


def write(target: Path, is_newest: bool) -> None:
    (target / "models").mkdir(parents=True)
    parts = {
        "origin": origin(),
        "readings": made_folders(target / "models"),
        "signatures": signature_cases(),
        "mlmodels": mlmodel_cases(),
        "examples": example_cases(),
        "environments": environment_cases(),
    }
    if is_newest:
        parts["rereads"] = older_rereads()
    for name, part in parts.items():
        (target / f"{name}.json").write_text(json.dumps(part, indent=1, ensure_ascii=False) + "\n")


def settled(text: str, origin: dict) -> str:
    """A file without what depends on the machine."""
    for version in sorted({origin["python"], *origin["packages"].values()}, key=len, reverse=True):
        text = re.sub(rf"(?<![\d.]){re.escape(version)}(?![\d.])", "*", text)
    return re.sub(r"\bmodel_size_bytes: \d+", "model_size_bytes: *", text)


def text_of(path: Path) -> str:
    if path.name != "readings.json" or extra:
        return path.read_text()
    readings = json.loads(path.read_text())
    readings.pop("transformers_chat", None)
    return json.dumps(readings)


def differences(recorded: Path, made: Path) -> list[str]:
    names = {path.relative_to(root).as_posix() for root in (recorded, made) for path in root.rglob("*") if path.is_file()}
    origins = [json.loads((root / "origin.json").read_text()) for root in (recorded, made)]
    found = []
    for name in sorted(names - {"origin.json"}):
        if not extra and name.startswith("models/transformers_chat/"):
            continue
        sides = [root / name for root in (recorded, made)]
        if not all(side.exists() for side in sides):
            found.append(f"{name} is only {'recorded' if sides[0].exists() else 'made'}")
        elif name.endswith(".onnx"):
            found += [f"{name} differs"] if sides[0].read_bytes() != sides[1].read_bytes() else []
        elif len({settled(text_of(side), origin) for side, origin in zip(sides, origins)}) > 1:
            found.append(f"{name} differs")
    return found


if __name__ == "__main__":
    pinned = (Path(__file__).parents[1] / "requirements.txt").read_text()
    is_newest = f"mlflow=={RELEASE}" in pinned.splitlines()
    recorded = FIXTURES / RELEASE
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / RELEASE, is_newest)
        count = len(list((Path(folder) / RELEASE / "models").iterdir()))
        if "--write" in sys.argv:
            shutil.rmtree(recorded, ignore_errors=True)
            shutil.copytree(Path(folder) / RELEASE, recorded)
        elif found := differences(recorded, Path(folder) / RELEASE):
            sys.exit("\n".join([f"test/fixtures/mlflow/{RELEASE} is not what MLflow {RELEASE} does:", *found]))
    print(f"peer: mlflow {RELEASE}: {count} folders as recorded")
