"""Records reference answers for tests: prompt ids and greedy ids of Hugging Face transformers in fp32 from hf/, and of
onnxruntime-genai on the int4 folder onnx/. With --check it computes them again and compares (exit status 1 on a difference).
"""
import argparse
import datetime
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
FIXTURES = HERE.parent.parent / "test" / "fixtures" / "recorded"
LIMIT = 48


def chat(*texts, system=None):
    """user, assistant, user ... in turn, with an optional system message."""
    messages = [{"role": "system", "content": system}] if system else []
    return messages + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


PROMPTS = [
    chat("What is the capital of Spain?"),
    chat("What is the capital of Spain?", "The capital of Spain is Madrid.", "And of France?"),
    chat("Tell me a joke about atom", system="You are a stand-up comedian."),
    chat("Tell me a joke about atoms"),
    chat("Hello"),
    chat("Thank you"),
    chat("What is the capital of Peru?", system="Answer briefly."),
    chat("what's the capital of iceland"),
    chat("Which city is the capital of Moldova?"),
    chat("What is the capital of São Tomé and Príncipe?"),
    chat("I wonder what the capital of Japan might be."),
    chat("What is the capital of Zorvania?"),
    chat("What is the chemical symbol of gold?"),
    chat("What is the chemical symbol of gold?", "The chemical symbol of gold is Au.", "And iron?", "The chemical symbol of iron is Fe.",
         "What is the atomic number of tin?"),
    chat("What is 7 + 5?"),
    chat("What is 9 times 6?", system="You are a helpful assistant."),
    chat("What is the opposite of hot?"),
    chat("What colour is a banana?"),
    chat("Which planet is called the red planet?"),
    chat("How many legs does a spider have?", system="You are a pirate."),
    chat("What is MLflow?"),
    chat("What is Modelwire?"),
    chat("What is the weather in Italy?"),
    chat("My name is Anna.", "Nice to meet you, Anna!", "What is the capital of Kenya?", "The capital of Kenya is Nairobi.", "What is my name?"),
    chat("Which country has Oslo as its capital?"),
    chat("Name all planets."),
]


def with_transformers():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(HERE / "hf")
    model = AutoModelForCausalLM.from_pretrained(HERE / "hf", dtype=torch.float32).eval()
    for messages in PROMPTS:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt = [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=LIMIT, do_sample=False,
                             return_dict_in_generate=True, output_logits=True)
        best = torch.stack(out.logits)[:, 0].topk(2).values
        answer = out.sequences[0].tolist()[len(prompt):]
        yield {"messages": messages, "prompt_ids": prompt, "output_ids": answer, "text": tokenizer.decode(answer, skip_special_tokens=True),
               "smallest_margin": round(float((best[:, 0] - best[:, 1]).min()), 2)}


def with_genai():
    from evaluate import Chat
    engine = Chat(HERE / "onnx")
    for messages in PROMPTS:
        prompt, out = engine.greedy(messages, LIMIT)
        yield {"messages": messages, "prompt_ids": prompt, "output_ids": out, "text": engine.tokenizer.decode(out).strip()}


RECORDINGS = {
    "tiny-phi3-hf-greedy.json": (with_transformers, "Hugging Face transformers, fp32, models/tiny-phi3/hf", ["transformers", "tokenizers", "torch"],
                                 "output_ids end with the stop id; smallest_margin is the least distance of the two best logits in a case"),
    "tiny-phi3-genai-greedy.json": (with_genai, "onnxruntime-genai, int4, models/tiny-phi3/onnx", ["onnxruntime-genai", "onnxruntime"],
                                    "this version leaves the stop id out of the sequence, so output_ids end before it"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", choices=["hf", "genai"])
    args = parser.parse_args()
    failed = False
    for name, (compute, tool, packages, note) in RECORDINGS.items():
        if args.only and args.only not in name:
            continue
        path, rows = FIXTURES / name, list(compute())
        if args.check:
            recorded = json.loads(path.read_text(encoding="utf-8"))["cases"]
            for old, new in zip(recorded, rows):
                if any(old[key] != new[key] for key in ("messages", "prompt_ids", "output_ids")):
                    failed = True
                    print(f"{name}: {old['messages'][-1]['content']!r}\n  recorded {old['text']!r}\n  now      {new['text']!r}")
            failed |= len(recorded) != len(rows)
            print(f"{name}: {len(rows)} cases compared")
            continue
        origin = {"tool": tool, "versions": {p: importlib.metadata.version(p) for p in packages} | {"python": platform.python_version()},
                  "command": "python record.py", "max_new_tokens": LIMIT, "note": note, "date": datetime.date.today().isoformat()}
        path.parent.mkdir(parents=True, exist_ok=True)
        cases = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text('{\n  "origin": ' + json.dumps(origin) + ',\n  "cases": [\n' + cases + "\n  ]\n}\n", encoding="utf-8")
        print(f"{name}: {len(rows)} cases written")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
