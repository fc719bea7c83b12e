"""onnxruntime-genai's side of the benches: a Generator or an Engine on the bench's model, one measurement per line.

    python bench/peers/genai.py '{"model": FOLDER, "threads": N}'

The first line of standard output says what was loaded; then one JSON object answers each of standard input. It waits
without a thread that spins: ONNX Runtime's own stop spinning soon after a run.
"""
import gc
import json
import random
import sys
import time
from importlib import metadata

import numpy
import onnxruntime_genai as og


def private_bytes():
    with open("/proc/self/status", encoding="utf8") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def prompt(tokens, seed):
    return random.Random(seed).choices(range(300, 31_000), k=tokens)


def milliseconds(work):
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


class Side:
    def __init__(self, model, threads):
        config = og.Config(model)
        # Threads are stated, all else is genai's default, a worker that spins during a run included.
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
        self.model = og.Model(config)
        self.generator = None

    def start(self, batch, capacity):
        params = og.GeneratorParams(self.model)
        # An answer of this very length: the token that ends one must not.
        params.set_search_options(batch_size=batch, max_length=capacity, min_length=capacity, do_sample=False)
        return og.Generator(self.model, params)

    def prefill(self, tokens, seed):
        generator = self.start(1, tokens + 1)
        ids = prompt(tokens, seed)
        return {"ms": [milliseconds(lambda: generator.append_tokens(ids))]}

    def fill(self, batch, context, steps, at_once):
        """
        Prompts of random tokens for every row, in one run: genai takes a prompt of several rows only at once. Where that
        needs more memory than there is, `at_once` tokens of each, and the rest by generating them.
        """
        self.release()
        before = private_bytes()
        self.generator = self.start(batch, context + steps + 1)
        first = min(at_once, context)
        ids = numpy.array([prompt(first, seed) for seed in range(batch)], dtype=numpy.int32)
        self.generator.append_tokens(ids)
        # The first token is of the prompt's own run; each further one runs the one before it.
        for _ in range(1 + context - first):
            self.generator.generate_next_token()
        return {"bytes": private_bytes() - before}

    def decode(self, steps):
        return {"ms": [milliseconds(self.generator.generate_next_token) for _ in range(steps)]}

    def play(self, load, how):
        """Plays a load: how is "one" (a Generator for one request at a time) or "engine". Gives the times of each token."""
        return {"times": self.play_one(load) if how == "one" else self.play_engine(load)}

    def play_one(self, load):
        began = time.perf_counter()
        times = []
        for request in load:
            time.sleep(max(0, began + request["at"] - time.perf_counter()))
            generator = self.start(1, len(request["prompt"]) + request["n"])
            generator.append_tokens(request["prompt"])
            times.append([])
            for _ in range(request["n"]):
                generator.generate_next_token()
                times[-1].append((time.perf_counter() - began) * 1000)
        return times

    def play_engine(self, load):
        engine = og.Engine(self.model)
        events = engine.create_event_buffer(64)
        began = time.perf_counter()
        times = [[] for _ in load]
        requests = []
        ended = 0
        while ended < len(load):
            while len(requests) < len(load) and began + load[len(requests)]["at"] <= time.perf_counter():
                requests.append(self.begin_turn(engine, load[len(requests)]))
            if not engine.has_pending_requests():
                time.sleep(0.002)
                continue
            for event in engine.run(events):
                flags = int(event.flags.value)
                if flags & int(og.EngineEventFlags.FAILED.value):
                    raise RuntimeError(f"a turn failed: {event.error_code}")
                of = next(i for i, request in enumerate(requests) if request == event.request)
                if flags & int(og.EngineEventFlags.TOKEN.value):
                    times[of].append((time.perf_counter() - began) * 1000)
                ended += 1 if flags & int(og.EngineEventFlags.TURN_FINISHED.value) else 0
        for request in requests:
            request.close()
        return times

    def begin_turn(self, engine, wanted):
        request = engine.create_request()
        options = og.TurnOptions(request)
        options.set_do_sample(False)
        options.set_min_generated_tokens(wanted["n"])
        options.set_max_generated_tokens(wanted["n"])
        request.begin_turn(numpy.array(wanted["prompt"], dtype=numpy.int32), options)
        return request

    def release(self):
        self.generator = None
        gc.collect()
        return {}

    def memory(self):
        return {"privateBytes": private_bytes()}


def main():
    arguments = json.loads(sys.argv[1])
    sides = []
    version = ", ".join(f"{name} {metadata.version(name)}" for name in ("onnxruntime-genai", "onnxruntime"))
    load_ms = milliseconds(lambda: sides.append(Side(**arguments)))
    print(json.dumps({"loadMs": load_ms, "privateBytes": private_bytes(), "version": version}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(sides[0], request.pop("do"))(**request)
        except Exception as error:  # a run without memory must not end the bench
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


main()
