"""Writes the finished folders from trained weights.

hf/    weights in bfloat16 for Hugging Face transformers (the quantized layers stand on their int4 grid)
onnx/  int4 graph made by onnxruntime-genai's model builder
and, with --fp32, an fp32 graph of the same hf folder by the same builder.
"""
import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from model import CONFIG, int4_grid
from tokenizer import BASE_VOCAB, SPECIALS

TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]


def token(name):
    return BASE_VOCAB + SPECIALS.index(name)


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_hf(weights, folder):
    state = {}
    for name, value in load_file(weights).items():
        if name.endswith("_proj.weight") or name == "lm_head.weight":
            value = int4_grid(value)
        state[name] = value.to(torch.bfloat16).contiguous()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    write_json(folder / "config.json", {
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", **CONFIG, "original_max_position_embeddings": CONFIG["max_position_embeddings"],
        "attention_bias": False, "attention_dropout": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "hidden_act": "silu",
        "initializer_range": 0.02, "rope_scaling": None, "sliding_window": CONFIG["max_position_embeddings"] - 1,
        "tie_word_embeddings": False, "use_cache": True, "bos_token_id": 1, "eos_token_id": token("<|endoftext|>"),
        "pad_token_id": token("<|endoftext|>"), "torch_dtype": "bfloat16"})
    write_json(folder / "generation_config.json", {
        "bos_token_id": 1, "eos_token_id": [token("<|endoftext|>"), token("<|assistant|>"), token("<|end|>")],
        "pad_token_id": token("<|endoftext|>")})


def build(hf, out, precision, *options):
    """Runs the model builder into an empty folder and puts the tokenizer files in unchanged."""
    shutil.rmtree(out, ignore_errors=True)
    cache = hf.parent / "recipe" / "build" / "cache"
    subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", str(hf), "-i", str(hf), "-o", str(out), "-p", precision,
                    "-e", "cpu", "-c", str(cache), "--extra_options", "windowed_kv_cache=false", "hf_remote=false", *options], check=True)
    for extra in out.iterdir():
        extra.chmod(0o644)
        if extra.name not in ("model.onnx", "model.onnx.data", "genai_config.json"):
            extra.unlink()
    for name in TOKENIZER_FILES:
        shutil.copy(hf / name, out / name)


def main():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=here / "build" / "model.safetensors")
    parser.add_argument("--hf", type=Path, default=here.parent / "hf")
    parser.add_argument("--onnx", type=Path, default=here.parent / "onnx")
    parser.add_argument("--fp32", type=Path)
    args = parser.parse_args()
    write_hf(args.weights, args.hf)
    build(args.hf, args.onnx, "int4", "block_size=32", "accuracy_level=4", "algo_config=default", "op_types_to_quantize=MatMul")
    if args.fp32:
        build(args.hf, args.fp32, "fp32")


if __name__ == "__main__":
    main()
