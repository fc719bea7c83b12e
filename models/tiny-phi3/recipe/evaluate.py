"""Puts the question sets of ../eval to the int4 folder through onnxruntime-genai, greedy, and prints the share of right answers."""
import argparse
import json
from pathlib import Path

import onnxruntime_genai as og


class Chat:
    def __init__(self, folder):
        self.model = og.Model(str(folder))
        self.tokenizer = og.Tokenizer(self.model)

    def greedy(self, messages, limit=64):
        """(prompt ids, generated ids) of one answer."""
        text = self.tokenizer.apply_chat_template(json.dumps(messages), add_generation_prompt=True)
        prompt = [int(i) for i in self.tokenizer.encode(text)]
        parameters = og.GeneratorParams(self.model)
        parameters.set_search_options(do_sample=False, max_length=len(prompt) + limit)
        generator = og.Generator(self.model, parameters)
        generator.append_tokens(prompt)
        while not generator.is_done():
            generator.generate_next_token()
        return prompt, [int(i) for i in generator.get_sequence(0)][len(prompt):]

    def answer(self, messages):
        return self.tokenizer.decode(self.greedy(messages)[1]).strip()

    def play(self, messages):
        """The answer to the last user turn; earlier answers are the model's own."""
        chat = []
        for message in messages:
            chat.append(message)
            if message["role"] == "user":
                chat.append({"role": "assistant", "content": self.answer(chat)})
        return chat[-1]["content"]


def right(row, text):
    if row.get("exact"):
        return text in row["answers"]
    return any(answer.lower() in f" {text}".lower() for answer in row["answers"])


def main():
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=here / "onnx")
    parser.add_argument("--sets", nargs="*", default=["capitals", "followups", "unknown", "other"])
    parser.add_argument("--every", type=int, default=1, help="take each n-th question only")
    parser.add_argument("--show", type=int, default=10, help="wrong answers to print")
    args = parser.parse_args()
    chat = Chat(args.model)
    for name in args.sets:
        rows = json.loads((here / "eval" / f"{name}.json").read_text(encoding="utf-8"))[:: args.every]
        counts, wrong = {True: [0, 0], False: [0, 0]}, []
        for row in rows:
            text = chat.play(row["messages"])
            ok = right(row, text)
            counts[row["seen"]][0] += ok
            counts[row["seen"]][1] += 1
            if not ok:
                wrong.append((row["messages"][-1]["content"], text))
        (a, b), (c, d) = counts[True], counts[False]
        print(f"{name}: {a + c}/{b + d} = {100 * (a + c) / (b + d):.2f} % (seen phrasings {a}/{b}, held-out phrasings {c}/{d})", flush=True)
        for question, text in wrong[: args.show]:
            print("   ", question, "->", text)


if __name__ == "__main__":
    main()
