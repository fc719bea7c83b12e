"""What Modelwire logs, real MLflow loads and asks; what real MLflow saves, Modelwire takes and serves. Both must answer
the same.

    ADDRESS=127.0.0.1:50051 STORE=/path/to/store python test/conformance/mlflow/logged_models.py [OTHER_PYTHON]

OTHER_PYTHON has another release of MLflow, which must find the same in every folder.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "grpc"))

import grpc
import mlflow
import numpy as np
import onnx
import pandas as pd
from mlflow.models import infer_signature
from onnx import TensorProto, helper
from open_folder import data, plain
from service import Service

TINY = HERE.parents[2] / "models" / "tiny-phi3" / "onnx"
SPAIN = {"messages": [{"role": "user", "content": "What is the capital of Spain?"}]}
JOKE = {"prompt": "<|system|>You are a stand-up comedian.<|end|><|user|>Tell me a joke about atom<|end|><|assistant|>"}
COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.2, 2.9, 4.3, 1.3], [7.7, 3.0, 6.1, 2.3]]
shown = 0


def check(claim, holds, detail=""):
    global shown
    shown += 1
    print(f"{'ok  ' if holds else 'FAIL'} {claim}{'' if holds else f': {detail!r}'}", flush=True)
    if not holds:
        sys.exit(1)


def graph(nodes, inputs, outputs, constants, path):
    made = helper.make_graph(nodes, "g", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return model


def floats(name, array):
    array = np.asarray(array, np.float32)
    return helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel())


def iris(path, columns):
    """A linear classifier of irises: one input of four numbers, or four inputs of one."""
    weights = [[0.4, -1.2, -2.2], [1.3, -0.4, -1.1], [-2.0, 0.3, 1.9], [-1.0, -0.5, 2.2]]
    constants = [floats("w", weights), floats("b", [2.5, 3.1, -5.6])]
    nodes = []
    if columns:
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in COLUMNS]
        constants.append(helper.make_tensor("last", TensorProto.INT64, [1], [1]))
        nodes += [helper.make_node("Unsqueeze", [name, "last"], [f"{name}_2"]) for name in COLUMNS]
        nodes.append(helper.make_node("Concat", [f"{name}_2" for name in COLUMNS], ["x"], axis=1))
    else:
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    nodes += [
        helper.make_node("Gemm", ["x", "w", "b"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ReduceMax", ["probabilities"], ["confidence"], axes=[1], keepdims=0),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["n"]),
    ]
    return graph(nodes, inputs, outputs, constants, path)


def close(a, b):
    if isinstance(a, float) or isinstance(b, float):
        return abs(a - b) <= 1e-5 * max(1.0, abs(a), abs(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    return a == b


def without_identity(answer):
    return {key: value for key, value in answer.items() if key not in ("id", "created", "model")}


class Releases:
    """Real MLflow, in this release and another one: both open a folder, and must agree."""

    def __init__(self, other):
        self.other = other

    def predict(self, model, given):
        """The prediction of this release for an input, as JSON has it."""
        path = Path(model["artifactLocation"])
        loaded = mlflow.pyfunc.load_model(model["modelUri"])
        answer = {
            "signature": repr(loaded.metadata.signature),
            "example": plain(loaded.metadata.load_input_example(str(path))),
            "prediction": plain(loaded.predict(data(given))),
        }
        if self.other:
            request = json.dumps({"path": str(path), "input": given})
            run = [self.other, "-W", "ignore", str(HERE / "open_folder.py")]
            done = subprocess.run(run, input=request, capture_output=True, text=True)
            check(f"{model['name']}: another release opens it", done.returncode == 0, done.stderr[-2000:])
            theirs = json.loads(done.stdout.splitlines()[-1])
            for key, mine in answer.items():
                same = close(stable(mine), stable(theirs[key]))
                check(f"{model['name']}: MLflow {theirs['release']} has the same {key}", same, (mine, theirs[key]))
        return answer["prediction"]


def stable(value):
    """Without what differs from one prediction to the next."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in ("id", "created")}
    return value


def llms(service, releases):
    chat = service.log(TINY, name="chat")["model"]
    check("an ONNX LLM is a chat model where nobody says otherwise", chat["task"] == "llm/v1/chat", chat)
    text, _ = service.predict(chat["modelId"], json.dumps(SPAIN))
    ours, theirs = json.loads(text), releases.predict(chat, {"plain": SPAIN})
    print("    ", ours["choices"][0]["message"]["content"], ours["usage"])
    check("it answers in OpenAI's shape", list(ours) == ["id", "object", "created", "model", "choices", "usage"], ours)
    check("as Python does, word for word", without_identity(ours) == without_identity(theirs), (ours, theirs))

    wrapper = service.log(TINY, name="comedian", inputExample=json.dumps(JOKE))["model"]
    info = mlflow.models.get_model_info(wrapper["modelUri"])
    wanted = infer_signature(JOKE, "text")
    check("the signature of the custom wrapper is inferred from its example", info.signature == wanted, info.signature)
    loaded = mlflow.pyfunc.load_model(wrapper["modelUri"])
    text, _ = service.predict(wrapper["modelId"], json.dumps(JOKE))
    ours, theirs = json.loads(text), releases.predict(wrapper, {"plain": JOKE})
    print("    ", repr(ours))
    check("a text goes in and a text comes out", isinstance(ours, str) and ours != "", ours)
    check("the same text in Python", ours == theirs, (ours, theirs))
    check("streamed too", "".join(loaded.predict_stream(JOKE)) == theirs)
    check("its example loads in Python", info.saved_input_example_info and loaded.input_example == JOKE, loaded.input_example)

    completions = service.log(TINY, name="completions", task="llm/v1/completions")["model"]
    body = {"prompt": JOKE["prompt"], "temperature": 0.0, "max_tokens": 6}
    ours = json.loads(service.predict(completions["modelId"], json.dumps(body))[0])
    theirs = releases.predict(completions, {"plain": body})
    check("a completion is OpenAI's in both", without_identity(ours) == without_identity(theirs), (ours, theirs))
    check("and ends by length", ours["choices"][0]["finish_reason"] == "length", ours)


    loaded = mlflow.pyfunc.load_model(chat["modelUri"])
    wrong = [{"temperature": -1.0}, {"top_p": 1.5}, {"n": 0}, {"max_tokens": 0}]
    for options in wrong:
        given = {**SPAIN, **options}
        check(f"{options} is refused here and there", refused(service, chat, given) and refused_by(loaded, given))
    cut = {"messages": [{"role": "user", "content": "a\0b"}]}
    check("text that onnxruntime-genai would cut off is refused by the loader", refused_by(loaded, cut))
    loaded = mlflow.pyfunc.load_model(completions["modelUri"])
    check("in a prompt, too", refused_by(loaded, {"prompt": "a\0b"}))


def refused(service, model, given):
    """Whether the service finds the input wrong."""
    try:
        service.predict(model["modelId"], json.dumps(given))
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.INVALID_ARGUMENT
    return False


def refused_by(loaded, given):
    """Whether a model that MLflow loaded finds the input wrong."""
    try:
        loaded.predict(given)
    except ValueError:
        return True
    return False


def graphs(service, work, releases):
    split = {"columns": COLUMNS, "data": ROWS}
    for name, columns in (("iris", False), ("iris-columns", True)):
        folder = work / name
        folder.mkdir()
        iris(folder / f"{name}.onnx", columns)
        bare = service.log(folder, name=name)["model"]
        loaded = mlflow.pyfunc.load_model(bare["modelUri"])
        tensors = {c: np.asarray([row[i] for row in ROWS], np.float32) for i, c in enumerate(COLUMNS)} if columns else {"x": np.asarray(ROWS, np.float32)}
        check(f"{name}: Python reads the signature of the graph", len(loaded.metadata.signature.inputs.inputs) == len(tensors), loaded.metadata.signature)
        theirs = releases.predict(bare, {"tensors": {key: value.tolist() for key, value in tensors.items()}})
        body = json.dumps({"inputs": {key: value.tolist() for key, value in tensors.items()}})
        ours = json.loads(service.predict(bare["modelId"], body)[0])["predictions"]
        check(f"{name}: the same predictions from tensors", close(ours, theirs), (ours, theirs))

        lists = {key: value[:1].tolist() for key, value in tensors.items()}
        kept = service.log(folder, name=name, inputExample=json.dumps(lists))["model"]
        loaded = mlflow.pyfunc.load_model(kept["modelUri"])
        read = loaded.input_example
        same = all(np.array_equal(read[key], value[:1]) and read[key].dtype == value.dtype for key, value in tensors.items())
        check(f"{name}: lists as an example are tensors in Python", same and loaded.metadata.signature == mlflow.models.get_model_info(bare["modelUri"]).signature, read)
        theirs = releases.predict(kept, {"tensors": lists})
        ours = json.loads(service.predict(kept["modelId"], json.dumps({"inputs": lists}))[0])["predictions"]
        check(f"{name}: and give the same predictions", close(ours, theirs), (ours, theirs))

        shaped = service.log(folder, name=name, inputExample=json.dumps({"columns": COLUMNS, "data": ROWS[:1]}))["model"]
        loaded = mlflow.pyfunc.load_model(shaped["modelUri"])
        check(f"{name}: an example of columns gives a signature of columns", [c.name for c in loaded.metadata.signature.inputs] == COLUMNS, loaded.metadata.signature)
        check(f"{name}: and loads in Python", list(loaded.input_example.columns) == COLUMNS, loaded.input_example)
        theirs = releases.predict(shaped, {"table": {"columns": COLUMNS, "rows": ROWS}})
        ours = json.loads(service.predict(shaped["modelId"], json.dumps({"dataframe_split": split}))[0])["predictions"]
        check(f"{name}: the same predictions from a table", close(ours, theirs), (ours, theirs))


class Wrapper(mlflow.pyfunc.PythonModel):
    """MLflow's recipe: an ONNX Runtime GenAI folder as an artifact, behind Python code that is pickled."""

    def load_context(self, context):
        import onnxruntime_genai as og

        self.og = og
        self.model = og.Model(context.artifacts["folder"])
        self.tokenizer = og.Tokenizer(self.model)

    def predict(self, context, model_input, params=None):
        prompt = model_input["prompt"].iloc[0] if isinstance(model_input, pd.DataFrame) else model_input["prompt"]
        generator = self.og.Generator(self.model, self.parameters())
        generator.append_tokens(self.tokenizer.encode(prompt))
        stream, text = self.tokenizer.create_stream(), ""
        while not generator.is_done():
            generator.generate_next_token()
            text += stream.decode(generator.get_next_tokens()[0])
        return text

    def parameters(self):
        parameters = self.og.GeneratorParams(self.model)
        parameters.set_search_options(max_length=256)
        return parameters


def ready(service, work):
    """Folders that real MLflow saved, sent up as they are."""
    folder = work / "wrapper"
    mlflow.pyfunc.save_model(
        folder, python_model=Wrapper(), artifacts={"folder": str(TINY)}, input_example=JOKE,
        signature=infer_signature(JOKE, "text"), pip_requirements=["onnxruntime-genai"],
    )
    (folder / "unknown.txt").write_text("kept")
    model = service.log(folder, name="wrapper")["model"]
    before, after = mlflow.models.Model.load(folder).to_dict(), mlflow.models.Model.load(model["artifactLocation"]).to_dict()
    for key in ("artifact_path", "model_id", "model_uuid", "run_id"):
        before.pop(key, None), after.pop(key, None)
    check("a ready model keeps everything but its identity", before == after, (before, after))
    theirs = mlflow.pyfunc.load_model(model["modelUri"]).predict(JOKE)
    ours = json.loads(service.predict(model["modelId"], json.dumps(JOKE))[0])
    check("a pickled wrapper is served from its artifacts, with the words of its own code", ours == theirs, (ours, theirs))

    path = work / "for-save.onnx"
    mlflow.onnx.save_model(iris(path, False), work / "saved", input_example=np.asarray(ROWS, np.float32))
    model = service.log(work / "saved", name="saved-iris")["model"]
    theirs = plain(mlflow.pyfunc.load_model(model["modelUri"]).predict(np.asarray(ROWS, np.float32)))
    ours = json.loads(service.predict(model["modelId"], json.dumps({"inputs": ROWS}))[0])["predictions"]
    check("an ONNX model that MLflow saved gives MLflow's predictions", close(ours, theirs), (ours, theirs))

    code = work / "code.py"
    code.write_text("import mlflow\nclass M(mlflow.pyfunc.PythonModel):\n    def predict(self, model_input: list[str]):\n        return model_input\nmlflow.models.set_model(M())\n")
    mlflow.pyfunc.save_model(work / "from-code", python_model=str(code))
    answer = service.log(work / "from-code", name="from-code")
    check("a model of code is kept, with a warning that says why it is not served", any("never run here" in w for w in answer["warnings"]), answer)
    check("and Python runs it", mlflow.pyfunc.load_model(answer["model"]["modelUri"]).predict(["a"]) == ["a"])


def main():
    other = sys.argv[1] if len(sys.argv) > 1 else None
    service = Service(os.environ["ADDRESS"])
    mlflow.set_tracking_uri(f"sqlite:///{os.environ['STORE']}/mlflow.db")
    with tempfile.TemporaryDirectory() as work:
        releases = Releases(other)
        llms(service, releases)
        graphs(service, Path(work), releases)
        ready(service, Path(work))
    print(f"peer: mlflow {mlflow.__version__}: {shown} facts agree about models logged here and there")


if __name__ == "__main__":
    main()
