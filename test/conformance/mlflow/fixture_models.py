"""Small model folders of every flavor and kind, for make_fixtures.py. It never knows how they are recorded."""

import json
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from onnx import TensorProto, helper

JOKE = {"prompt": "<|system|>You are a stand-up comedian.<|end|><|user|>Tell me a joke about atom<|end|><|assistant|>"}
QUESTION = {"messages": [{"role": "user", "content": "What is the capital of Spain?"}], "max_tokens": 5}

CHAT = """import mlflow
from mlflow.pyfunc import ChatModel
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage


class Parrot(ChatModel):
    def predict(self, context, messages, params):
        message = ChatMessage(role="assistant", content=messages[-1].content)
        return ChatCompletionResponse(choices=[ChatChoice(index=0, message=message)], model="parrot")


mlflow.models.set_model(Parrot())
"""

FROM_CODE = """import mlflow
from mlflow.pyfunc import PythonModel


class Shout(PythonModel):
    def load_context(self, context):
        self.mark = context.model_config["mark"]

    def predict(self, context, model_input, params=None):
        return str(model_input["prompt"].iloc[0]).upper() + self.mark


mlflow.models.set_model(Shout())
"""

HINTS = """import mlflow
import pydantic
from mlflow.pyfunc import PythonModel


class Message(pydantic.BaseModel):
    role: str
    content: str | None = None
    scores: dict[str, float]


class Hinted(PythonModel):
    def predict(self, model_input: list[Message]) -> list[str]:
        return [message.role for message in model_input]


mlflow.models.set_model(Hinted())
"""

FROM_EXAMPLE = """import mlflow
from mlflow.pyfunc import PythonModel
from mlflow.types.type_hints import TypeFromExample


class Example(PythonModel):
    def predict(self, model_input: TypeFromExample):
        return [str(item) for item in model_input]


mlflow.models.set_model(Example())
"""

LOADER = """class Length:
    def predict(self, model_input, params=None):
        return [len(model_input)]


def _load_pyfunc(path):
    return Length()
"""


class Wrapper(PythonModel):
    """MLflow's recipe for a model of one's own: a folder of artifacts, found again when the model is loaded."""

    def load_context(self, context):
        self.files = context.artifacts["llm"]

    def predict(self, context, model_input, params=None):
        return f"a joke about {model_input['prompt'].iloc[0][-20:]}"


def sources(folder: Path) -> None:
    """What the models are made of."""
    for name, text in {"chat.py": CHAT, "shout.py": FROM_CODE, "hints.py": HINTS, "from_example.py": FROM_EXAMPLE, "length_loader.py": LOADER, "data/words.txt": "a b\n", "package/__init__.py": "", "package/tool.py": "TOOL = 1\n"}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    llm = folder / "llm"
    llm.mkdir()
    (llm / "genai_config.json").write_text(json.dumps({"model": {"type": "phi3", "context_length": 4096}}))
    (llm / "tokenizer.json").write_text("{}")
    (llm / "model.onnx").write_bytes(b"")


def graph(inputs: dict, outputs: dict, nodes: list, weights: dict = {}) -> onnx.ModelProto:
    """Each input and output is a type and a shape; a text in a shape may be any size."""
    values = lambda specs: [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in specs.items()]
    constants = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    made = helper.make_graph(nodes, "g", values(inputs), values(outputs), constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="modelwire-fixtures")


def iris() -> onnx.ModelProto:
    """Four measures to a class and three scores."""
    weights = {"w": np.arange(12, dtype="float32").reshape(4, 3) / 10, "b": np.array([1, 0, -1], "float32")}
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["scores"]), helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)]
    return graph({"x": (TensorProto.FLOAT, ["n", 4])}, {"label": (TensorProto.INT64, ["n"]), "scores": (TensorProto.FLOAT, ["n", 3])}, nodes, weights)


def total() -> onnx.ModelProto:
    """Two columns to their sum."""
    column = (TensorProto.FLOAT, ["n", 1])
    return graph({"a": column, "b": column}, {"sum": column}, [helper.make_node("Add", ["a", "b"], ["sum"])])


def words() -> onnx.ModelProto:
    """Texts and whole numbers, each as it is."""
    nodes = [helper.make_node("Identity", ["text"], ["same_text"]), helper.make_node("Identity", ["ids"], ["same_ids"])]
    return graph({"text": (TensorProto.STRING, ["n"]), "ids": (TensorProto.INT64, ["n", 2])}, {"same_text": (TensorProto.STRING, ["n"]), "same_ids": (TensorProto.INT64, ["n", 2])}, nodes)


def tensor(dtype: str, shape: tuple, name: str | None = None) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape, name)


def makers(model, requirements: list[str]) -> dict:
    """Folder name to what saves it. `model()` gives the mlflow.models.Model to fill in; sources() lie in the working folder."""
    here = str(Path.cwd())
    pyfunc = lambda name, **keys: mlflow.pyfunc.save_model(name, mlflow_model=model(name), **{"pip_requirements": requirements, **keys})
    onnx_model = lambda name, graph, **keys: mlflow.onnx.save_model(graph, name, mlflow_model=model(name), **keys)
    measures = pd.DataFrame([[5.1, 3.5, 1.4, 0.2]], columns=["sepal length", "sepal width", "petal length", "petal width"])
    iris_outputs = Schema([tensor("int64", (-1,), "label"), tensor("float32", (-1, 3), "scores")])
    return {
        "custom_wrapper": lambda name: pyfunc(name, python_model=Wrapper(), artifacts={"llm": f"{here}/llm"}, input_example=JOKE, metadata={"family": "phi3", "version": "1e3"}),
        "from_code": lambda name: pyfunc(name, python_model="shout.py", artifacts={"llm": f"{here}/llm"}, model_config={"mark": "!", "limits": [1, 2.5, None], "nested": {"1": "one"}}, input_example=({"prompt": "hi"}, {"temperature": 0.5})),
        "chat_from_code": lambda name: pyfunc(name, python_model="chat.py", input_example=QUESTION, extra_pip_requirements=["tiktoken"], pip_requirements=None),
        "type_hints": lambda name: pyfunc(name, python_model="hints.py", input_example=[{"role": "user", "content": "hi", "scores": {"a": 0.5}}]),
        "type_hint_from_example": lambda name: pyfunc(name, python_model="from_example.py", input_example=["a", "b"]),
        "loader_module": lambda name: pyfunc(name, loader_module="length_loader", data_path="data", code_paths=["length_loader.py", "package"], signature=ModelSignature(Schema([ColSpec("string", "text")]), Schema([ColSpec("long")])), conda_env={"name": "mine", "channels": ["conda-forge", "defaults"], "dependencies": ["python=3.10.2", "libgomp", "pip", {"pip": ["mlflow", "numpy<3", "-c pins.txt"]}]}, pip_requirements=None),
        "loader_module_bare": lambda name: pyfunc(name, loader_module="length_loader", code_paths=["length_loader.py"], pip_requirements=None),
        "onnx_tensor": lambda name: onnx_model(name, iris(), signature=ModelSignature(Schema([tensor("float32", (-1, 4))]), iris_outputs), input_example=np.array([[5.1, 3.5, 1.4, 0.2]], "float32")),
        "onnx_columns": lambda name: onnx_model(name, iris(), signature=ModelSignature(Schema([ColSpec("float", column) for column in measures]), iris_outputs), input_example=measures.astype("float32"), pip_requirements=[*requirements, "-c pins.txt"]),
        "onnx_several": lambda name: onnx_model(name, total(), signature=ModelSignature(Schema([ColSpec("float", "a"), ColSpec("float", "b", required=False)]), Schema([ColSpec("float", "sum")]), ParamSchema([ParamSpec("scale", "double", 1.0)])), onnx_session_options={"intra_op_num_threads": 1, "extra_session_config": {"session.set_denormal_as_zero": "1"}}, onnx_execution_providers=["CPUExecutionProvider"], metadata={"note": "two inputs"}, pip_requirements=requirements),
        "onnx_words": lambda name: onnx_model(name, words(), signature=ModelSignature(Schema([tensor("str", (-1,), "text"), tensor("int64", (-1, 2), "ids")]), Schema([tensor("str", (-1,), "same_text"), tensor("int64", (-1, 2), "same_ids")])), input_example={"text": np.array(["a", "ä"]), "ids": np.array([[1, 2], [3, 4]])}, code_paths=["package"], pip_requirements=requirements),
    }


def transformers_chat(name: str, model, requirements: list[str]) -> None:
    """A pipeline of a tiny random Phi-3; needs torch and transformers."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    vocabulary = {token: i for i, token in enumerate(["<unk>", "<s>", "<|end|>", "<|user|>", "<|assistant|>", "what", "is", "spain"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="<|end|>", pad_token="<unk>")
    fast.chat_template = "{% for message in messages %}<|{{ message['role'] }}|> {{ message['content'] }} <|end|> {% endfor %}<|assistant|>"
    config = transformers.Phi3Config(vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, max_position_embeddings=64)
    pipeline = transformers.pipeline("text-generation", model=transformers.Phi3ForCausalLM(config), tokenizer=fast)
    mlflow.transformers.save_model(pipeline, name, task="llm/v1/chat", mlflow_model=model(name), input_example=QUESTION, pip_requirements=requirements, save_pretrained=True)
