"""onnxruntime-genai's side of bench/decode.mjs: one round for every line of standard input, one JSON object for each.

    python bench/peer_genai.py FOLDER THREADS PROMPT_TOKENS NEW_TOKENS
"""
import json
import random
import sys
import time

import onnxruntime_genai as og

folder, threads, prompt_tokens, new_tokens = sys.argv[1], *map(int, sys.argv[2:])
config = og.Config(folder)
config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
model = og.Model(config)


def one(seed):
    """Seconds to the first token, and milliseconds for each after it."""
    ids = random.Random(seed).choices(range(300, 2000), k=prompt_tokens)
    started = time.perf_counter()
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=prompt_tokens + new_tokens, min_length=prompt_tokens + new_tokens, do_sample=False)
    generator = og.Generator(model, params)
    generator.append_tokens(ids)
    generator.generate_next_token()
    first = time.perf_counter()
    count = 0
    while not generator.is_done():
        generator.generate_next_token()
        count += 1
    ended = time.perf_counter()
    return (first - started) * 1000, (ended - first) * 1000 / count, ended - started


one(0)
print("ready", flush=True)
for turn, _ in enumerate(sys.stdin, 1):
    first_ms, per_token_ms, _ = one(turn)
    seconds = sum(one(turn * 8 + i)[2] for i in range(8))
    print(json.dumps({"firstMs": first_ms, "perTokenMs": per_token_ms, "eight": 8 * new_tokens / seconds}), flush=True)
