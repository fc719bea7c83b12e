"""Serves an ONNX Runtime GenAI folder through MLflow's python_function flavor.

Stored by Modelwire beside the model under a name that carries the digest of this text, since Python keeps one module
per name and MLflow loads many models into one process. Needs onnxruntime-genai; imports nothing else beyond Python.

predict takes {"messages": [...], ...options}, {"prompt": text, ...options}, a text, or a data frame with such columns.
Messages are put through the model's chat template and answered with an OpenAI chat completion. A prompt goes to the
model as it is, special tokens included; what follows is given as text, or, where the MLmodel file's config says the task
llm/v1/completions, as an OpenAI completion. One row gives its answer, several give a list. predict_stream takes one row
and gives the pieces: chunk objects, or texts.

Special tokens written out in a message, such as <|end|>, are read as special tokens: onnxruntime-genai's tokenizer has
no way to take them as text.
"""

import json
import os
import threading
import time
import uuid

OPTIONS = ("temperature", "max_tokens", "stop", "n", "top_p", "top_k", "seed", "repetition_penalty")
UNSUPPORTED = ("frequency_penalty", "presence_penalty", "tools")


def _load_pyfunc(path, model_config=None):
    return GenAIModel(path, model_config)


class GenAIModel:
    def __init__(self, path, model_config=None):
        import onnxruntime_genai as og

        self._og = og
        with open(os.path.join(path, "genai_config.json"), encoding="utf-8") as file:
            config = json.load(file)
        model = config["model"]
        self._context_length = int(model["context_length"])
        eos = model.get("eos_token_id", [])
        self._eos = frozenset(eos if isinstance(eos, list) else [eos])
        self._search = config.get("search", {})
        self._name = (model_config or {}).get("model_name") or model.get("type", "onnxruntime-genai")
        self._completions = (model_config or {}).get("task") == "llm/v1/completions"
        settings = og.Config(path)
        session = model.get("decoder", {}).get("session_options", {})
        if "intra_op_num_threads" not in session:
            # The library's own default is one thread for every two cores.
            threads = _cores()
            settings.overlay(
                json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}})
            )
        self._model = og.Model(settings)
        self._tokenizer = og.Tokenizer(self._model)
        # One answer at a time: two would only fight for the same cores and both double the cache.
        self._lock = threading.Lock()

    def predict(self, model_input, params=None):
        answers = [self._complete(request) for request in _requests(model_input, params)]
        return answers[0] if len(answers) == 1 else answers

    def predict_stream(self, model_input, params=None):
        requests = _requests(model_input, params)
        if len(requests) != 1:
            raise ValueError(f"predict_stream takes one row, got {len(requests)}")
        request = requests[0]
        if request["n"] != 1:
            raise ValueError("predict_stream gives one answer: leave n out or set it to 1")
        ids = self._encode(request)
        shape = self._shape(request)
        if shape == "text":
            for text, _, _ in self._generate(ids, request, 0):
                if text:
                    yield text
            return
        chat = shape == "chat"
        head = self._head("chatcmpl" if chat else "cmpl", "chat.completion.chunk" if chat else "text_completion")

        def chunk(text, finish_reason=None, usage=None):
            content = {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
            choice = {"index": 0, **content, "finish_reason": finish_reason, "logprobs": None}
            return {**head, "choices": [choice], "usage": usage}

        if chat:
            yield chunk("")
        for text, finish_reason, count in self._generate(ids, request, 0):
            if text:
                yield chunk(text)
            if finish_reason:
                yield chunk("", finish_reason, _usage(len(ids), count))

    def _shape(self, request):
        if self._completions:
            return "completion"
        return "text" if request["messages"] is None else "chat"

    def _head(self, prefix, kind):
        return {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self._name,
        }

    def _complete(self, request):
        ids = self._encode(request)
        shape = self._shape(request)
        choices, tokens = [], 0
        for index in range(request["n"]):
            parts, reason, count = [], "stop", 0
            for text, finish_reason, count in self._generate(ids, request, index):
                parts.append(text)
                reason = finish_reason or reason
            tokens += count
            text = "".join(parts)
            content = {"message": {"role": "assistant", "content": text}} if shape == "chat" else {"text": text}
            choices.append({"index": index, **content, "finish_reason": reason})
        if shape == "text":
            texts = [choice["text"] for choice in choices]
            return texts[0] if len(texts) == 1 else texts
        chat = shape == "chat"
        head = self._head("chatcmpl" if chat else "cmpl", "chat.completion" if chat else "text_completion")
        return {**head, "choices": choices, "usage": _usage(len(ids), tokens)}

    def _encode(self, request):
        """The prompt's tokens. Fails when no place is left for an answer."""
        if request["messages"] is not None:
            text = self._tokenizer.apply_chat_template(json.dumps(request["messages"]), add_generation_prompt=True)
        else:
            text = request["prompt"]
        ids = self._tokenizer.encode(text)
        if len(ids) >= self._context_length:
            raise ValueError(f"the prompt has {len(ids)} tokens; prompt and answer may have {self._context_length}")
        return ids

    def _generate(self, ids, request, index):
        """Yields (text, finish reason or None, tokens so far); the last one has the reason. The ending token is not counted."""
        room = self._context_length - len(ids)
        limit = min(room, request["max_tokens"] or room)
        parameters = self._og.GeneratorParams(self._model)
        # All of the cache is set aside at once, so no more is asked for than can be used.
        parameters.set_search_options(**self._search_options(request, index), max_length=len(ids) + limit)
        stream = self._tokenizer.create_stream()
        stops = StopStrings(request["stop"])
        count, first = 0, request["messages"] is not None
        with self._lock:
            generator = self._og.Generator(self._model, parameters)
            generator.append_tokens(ids)
            while True:
                if generator.is_done():
                    break
                generator.generate_next_token()
                token = int(generator.get_next_tokens()[0])
                if token in self._eos:
                    yield stops.rest(), "stop", count
                    return
                count += 1
                text = stream.decode(token)
                if first:
                    # A SentencePiece tokenizer writes its word mark before the first word of an answer too. What goes on
                    # with a prompt keeps its space.
                    text = text.lstrip(" ")
                    first = not text
                out, found = stops.push(text)
                if found:
                    yield out, "stop", count
                    return
                if out:
                    yield out, None, count
                if count >= limit:
                    break
        yield stops.rest(), "length", count

    def _search_options(self, request, index):
        options = {"batch_size": 1, "num_beams": 1}
        if request["temperature"] == 0:
            options["do_sample"] = False
        elif any(request[key] is not None for key in ("temperature", "top_p", "top_k")):
            options["do_sample"] = True
            if request["temperature"] is not None:
                options["temperature"] = request["temperature"]
            for key in ("top_p", "top_k"):
                if request[key] is not None:
                    options[key] = request[key]
        if request["repetition_penalty"] is not None:
            options["repetition_penalty"] = request["repetition_penalty"]
        if request["seed"] is not None:
            options["random_seed"] = request["seed"] + index
        return options


class StopStrings:
    """Holds back what may be the beginning of a stop string."""

    def __init__(self, stops):
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def push(self, text):
        """The text that is sure to belong to the answer, and whether a stop string ended it."""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            out, self._held = self._held[: min(found)], ""
            return out, True
        keep = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self._held)), keep, -1):
                if self._held.endswith(stop[:length]):
                    keep = length
                    break
        out = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return out, False

    def rest(self):
        out, self._held = self._held, ""
        return out


def _requests(model_input, params):
    """One request per row, whatever it came as. What a row says goes before params."""
    if hasattr(model_input, "to_dict") and hasattr(model_input, "columns"):
        rows = model_input.to_dict(orient="records")
    elif isinstance(model_input, (list, tuple)) and model_input and all(_is_message(m) for m in model_input):
        rows = [{"messages": list(model_input)}]
    elif isinstance(model_input, (list, tuple)):
        rows = list(model_input)
    else:
        rows = [model_input]
    return [_request(row, params or {}) for row in rows]


def _request(row, params):
    if isinstance(row, str):
        row = {"prompt": row}
    if not isinstance(row, dict):
        raise TypeError(f"a row must be a dict or a text, got {type(row).__name__}")
    values = {**params, **{key: value for key, value in row.items() if not _missing(value)}}
    unused = [key for key in UNSUPPORTED if key in values and _plain(values[key]) not in (0, [], {})]
    if unused:
        raise ValueError(f"onnxruntime-genai has no {', '.join(unused)}; leave it out")
    messages, prompt = values.get("messages"), values.get("prompt")
    texts = [value for key, value in values.items() if isinstance(value, str) and key not in OPTIONS]
    if messages is None and prompt is None and len(texts) == 1:
        prompt = texts[0]  # whatever its column is called
    if (messages is None) == (prompt is None):
        raise ValueError("give either messages or prompt")
    request = {key: _plain(values[key]) if key in values else None for key in OPTIONS}
    stop = request["stop"]
    request["stop"] = [stop] if isinstance(stop, str) else list(stop or [])
    request["n"] = 1 if request["n"] is None else int(request["n"])
    request["max_tokens"] = None if request["max_tokens"] is None else int(request["max_tokens"])
    if request["n"] < 1:
        raise ValueError(f"n must be 1 or more, got {request['n']}")
    if request["max_tokens"] is not None and request["max_tokens"] < 1:
        raise ValueError(f"max_tokens must be 1 or more, got {request['max_tokens']}")
    if request["temperature"] is not None and not request["temperature"] >= 0:
        raise ValueError(f"temperature must be 0 or more, got {request['temperature']}")
    if request["top_p"] is not None and not 0 < request["top_p"] <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {request['top_p']}")
    request["prompt"] = prompt
    request["messages"] = None if messages is None else [_message(message) for message in _plain(messages)]
    if request["messages"] == []:
        raise ValueError("messages must hold at least one message")
    texts = [prompt] if messages is None else [text for message in request["messages"] for text in message.values()]
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise ValueError("a text holds a NUL character, where onnxruntime-genai would cut it off")
    return request


def _is_message(value):
    return isinstance(value, dict) and "role" in value


def _message(message):
    """Role and content; what MLflow's schema filled in with None is left out."""
    if not _is_message(message):
        raise ValueError(f"a message must be a dict with role and content, got {message!r}")
    message = {key: value for key, value in message.items() if not _missing(value)}
    message.setdefault("content", "")
    if not isinstance(message["content"], str):
        raise ValueError("the content of a message must be text")
    return message


def _plain(value):
    """Arrays and scalars of numpy, as data frames hold them, as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def _missing(value):
    return value is None or (isinstance(value, float) and value != value)


def _usage(prompt_tokens, completion_tokens):
    return {
        "prompt_tokens": int(prompt_tokens),
        "completion_tokens": int(completion_tokens),
        "total_tokens": int(prompt_tokens) + int(completion_tokens),
    }


def _cores():
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, min(16, len(affinity(0)) if affinity else os.cpu_count() or 1))
