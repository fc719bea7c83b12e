"""Trains the tokenizer and writes its files: Llama-style BPE with byte fallback, and Phi-3's special tokens behind it.

The merges are learned inside words only (spaces, digits and punctuation cut), so the shipped file needs no
pre-tokenizer: the same merges come out when they run over a whole text.
"""
import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from dialogues import Dialogues
from tables.countries import COUNTRIES
from tables.elements import ELEMENTS

BASE_VOCAB = 2144  # <unk> <s> </s>, 256 bytes, pieces; the special tokens follow
VOCAB = 2176  # rounded up like the real one; the last rows are never used
SPECIALS = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>",
            "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>"]
NAME_REPEATS = 500  # extra weight of the names that answers are made of, so that most are one or two tokens
SPACE = "\u2581"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)


def learn(texts):
    """Ordered merges and single characters, learned from the texts (ASCII only: the rest goes through byte tokens)."""
    trainer_side = Tokenizer(models.BPE())
    trainer_side.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        pre_tokenizers.Punctuation(behavior="isolated"),
        pre_tokenizers.Digits(individual_digits=True),
    ])
    characters = [SPACE] + [chr(code) for code in range(0x21, 0x7F)]
    trainer = trainers.BpeTrainer(vocab_size=BASE_VOCAB - 259, initial_alphabet=characters, limit_alphabet=len(characters),
                                  show_progress=False, special_tokens=[])
    trainer_side.train_from_iterator(("".join(c if c.isascii() else " " for c in text) for text in texts), trainer)
    return json.loads(trainer_side.to_str())["model"]["merges"], characters


def build(merges, characters):
    """The shipped tokenizer.json as a dictionary."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    for left, right in merges:
        if left + right not in pieces:
            pieces.append(left + right)
    pieces += characters
    assert len(pieces) == BASE_VOCAB and len(set(pieces)) == BASE_VOCAB, len(pieces)
    added = [(0, "<unk>", False), (1, "<s>", False), (2, "</s>", False)]
    added += [(BASE_VOCAB + i, token, token != "<|endoftext|>") for i, token in enumerate(SPECIALS)]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": rstrip,
                          "normalized": False, "special": True} for i, token, rstrip in added],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [f"{a} {b}" for a, b in merges]},
    }


def write(folder, tokenizer):
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def dump(name, value):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    dump("tokenizer.json", tokenizer)
    dump("tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False,
        "added_tokens_decoder": {str(t["id"]): {k: t[k] for k in t if k != "id"} for t in tokenizer["added_tokens"]},
        "bos_token": "<s>", "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False, "eos_token": "<|endoftext|>",
        "legacy": False, "model_max_length": 2048, "pad_token": "<|endoftext|>", "padding_side": "left", "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>", "use_default_system_prompt": False})

    def special(token):
        return {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    dump("special_tokens_map.json", {"bos_token": special("<s>"), "eos_token": special("<|endoftext|>"),
                                     "pad_token": special("<|endoftext|>"), "unk_token": special("<unk>")})


class ChatEncoder:
    """Ids of a chat, each text between special tokens encoded by itself (the form that serving uses)."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.ids = {token: self.tokenizer.token_to_id(token) for token in SPECIALS}

    def text(self, text):
        return self.tokenizer.encode(text.lstrip(), add_special_tokens=False).ids

    def chat(self, messages):
        """(ids, taught): the ids without bos, and for each id whether the model is trained to say it."""
        ids, taught = [], []
        for message in messages:
            body = self.text(message["content"]) + [self.ids["<|end|>"]]
            ids += [self.ids[f"<|{message['role']}|>"]] + body
            taught += [False] + [message["role"] == "assistant"] * len(body)
        return ids, taught


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="../hf")
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--dialogues", type=int, default=30000)
    args = parser.parse_args()
    source = Dialogues(args.seed)
    texts = [m["content"] for _ in range(args.dialogues) for m in source() if len(m["content"]) < 70]
    texts += [f"{country.name} {country.capital}" for country in COUNTRIES for _ in range(NAME_REPEATS)]
    texts += [name for _, name, _ in ELEMENTS for _ in range(NAME_REPEATS // 4)]
    write(args.out, build(*learn(texts)))


if __name__ == "__main__":
    main()
