"""Does real MLflow find, read and run a model that Modelwire logged?

    python test/conformance/mlflow/open_store.py STORE_DIR MODEL_ID [--no-predict]

Everything goes through MLflow's public client on sqlite:///STORE_DIR/mlflow.db. With --no-predict the model is not
loaded, for folders that hold no real model. Exit 1 at the first thing that is not so.
"""

import json
import sys
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModelStatus
from mlflow.models import Model
from mlflow.types.llm import CHAT_MODEL_INPUT_SCHEMA, CHAT_MODEL_OUTPUT_SCHEMA

QUESTION = [{"role": "user", "content": "What is the capital of Spain?"}]


def check(claim: str, holds: object, detail: object = "") -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {claim}{'' if holds else f': {detail!r}'}")
    if not holds:
        sys.exit(1)


def metadata(store: Path, model_id: str):
    client = mlflow.MlflowClient()
    model = client.get_logged_model(model_id)
    check("get_logged_model finds it READY", model.status == LoggedModelStatus.READY, model.status)
    check("its tags are those of MLflow's own client", {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(model.tags), model.tags)
    check("its location is a plain absolute path", Path(model.artifact_location).is_dir(), model.artifact_location)
    found = mlflow.search_logged_models(
        experiment_ids=[model.experiment_id], filter_string=f"name = '{model.name}'", output_format="list"
    )
    check("search_logged_models finds it by name", model_id in [m.model_id for m in found], found)
    if model.source_run_id:
        run = client.get_run(model.source_run_id)
        check("the run has it as an output", model_id in [o.model_id for o in run.outputs.model_outputs], run.outputs)
        check("the run's params were copied", run.data.params.items() <= model.params.items(), model.params)
        step = next(o.step for o in run.outputs.model_outputs if o.model_id == model_id)
        history = [v for key in run.data.metrics for v in client.get_metric_history(run.info.run_id, key)]
        expected = sorted((v.key, 0.0 if v.value != v.value else v.value) for v in history if v.step == step)
        copied = sorted((m.key, m.value) for m in model.metrics or [])
        check("the run's metrics of that step were copied, and no others", copied == expected, (copied, expected))
    return model


def files(store: Path, model) -> None:
    uri = f"models:/{model.model_id}"
    info = mlflow.models.get_model_info(uri)
    check("the input signature is MLflow's own for chat", info.signature.inputs == CHAT_MODEL_INPUT_SCHEMA)
    check("the output signature is MLflow's own for chat", info.signature.outputs == CHAT_MODEL_OUTPUT_SCHEMA)
    folder = Path(model.artifact_location)
    text = (folder / "MLmodel").read_text()
    loaded = Model.load(str(folder))
    raw = loaded.to_dict()["signature"]
    check("its JSON is the same to the byte", raw["inputs"] == json.dumps(CHAT_MODEL_INPUT_SCHEMA.to_dict()))
    check("outputs too", raw["outputs"] == json.dumps(CHAT_MODEL_OUTPUT_SCHEMA.to_dict()))
    check("MLflow writes the MLmodel file back as it was", loaded.to_yaml() == text, loaded.to_yaml())
    check("metadata.task is llm/v1/chat", loaded.metadata["task"] == "llm/v1/chat", loaded.metadata)
    check("every value of metadata is still text", all(isinstance(v, str) for v in loaded.metadata.values()), loaded.metadata)
    check("model_id = model_uuid = the row's", loaded.model_id == loaded.model_uuid == model.model_id)
    check("the flavors are ours and python_function", set(loaded.flavors) == {"onnxruntime_genai", "python_function"})
    listed = {f.path for f in mlflow.artifacts.list_artifacts(uri)}
    wanted = {"MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml", "code", "model"}
    check("list_artifacts shows the folder and not the manifest", wanted <= listed and "manifest.json" not in listed, listed)
    check("the example loads", loaded.load_input_example(str(folder)) is not None)
    example = loaded.load_input_example(str(folder))
    check("and fits the signature", mlflow.models.utils._enforce_schema(example, info.signature.inputs) is not None)


def predict(model) -> None:
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    answer = loaded.predict({"messages": QUESTION, "temperature": 0.0, "max_tokens": 40})
    (choice,) = answer["choices"]
    print(f"     {choice['message']['content']!r} {answer['usage']}")
    check("predict gives a chat completion", answer["object"] == "chat.completion", answer)
    check("with what it must have", {"id", "created", "model", "usage"} <= set(answer), answer)
    check("from the assistant", choice["message"]["role"] == "assistant" and choice["message"]["content"], choice)
    check("with a reason to end", choice["finish_reason"] in ("stop", "length"), choice)
    usage = answer["usage"]
    check("whose usage adds up", usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], usage)
    chunks = list(loaded.predict_stream({"messages": QUESTION, "temperature": 0.0, "max_tokens": 40}))
    check("predict_stream gives chunks", all(c["object"] == "chat.completion.chunk" for c in chunks), chunks)
    text = "".join(c["choices"][0]["delta"]["content"] for c in chunks)
    check("streamed = unary", text == choice["message"]["content"], text)
    check("the last chunk has the reason and the usage", chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"] and chunks[-1]["usage"] == usage, chunks[-1])
    one = loaded.predict({"messages": QUESTION, "temperature": 0.0, "max_tokens": 1})
    check("max_tokens 1 ends by length", one["choices"][0]["finish_reason"] == "length", one)
    check("after one token", one["usage"]["completion_tokens"] == 1, one)
    stop = choice["message"]["content"][3:6]
    cut = loaded.predict({"messages": QUESTION, "temperature": 0.0, "max_tokens": 40, "stop": [stop]})
    expected = choice["message"]["content"].split(stop)[0]
    check("a stop string ends it and is left out", cut["choices"][0]["message"]["content"] == expected, (stop, cut))
    check("by stop", cut["choices"][0]["finish_reason"] == "stop", cut)
    two = loaded.predict({"messages": QUESTION, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "n": 2, "max_tokens": 8})
    check("n gives so many choices", [c["index"] for c in two["choices"]] == [0, 1], two)
    again = loaded.predict({"messages": QUESTION, "temperature": 0.0, "max_tokens": 40})
    check("temperature 0 gives the same again", again["choices"] == answer["choices"], again)


def main() -> None:
    store, model_id = Path(sys.argv[1]).resolve(), sys.argv[2]
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    model = metadata(store, model_id)
    files(store, model)
    if "--no-predict" not in sys.argv:
        predict(model)


if __name__ == "__main__":
    main()
