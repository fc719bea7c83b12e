"""Writes the question sets of ../eval. Held-out phrasings and names come from the tables and never reach the training data."""
import json
import random
from pathlib import Path

from dialogues import COUNTRIES, Dialogues
from tables import phrasings as P
from tables import unknown as U
from tables.about import ABOUT
from tables.elements import ELEMENTS
from tables.jokes import ATOM_JOKES, OTHER_JOKES
from tables.planets import PLANETS
from tables.words import COLOURS, LEGS, OPPOSITES, SOUNDS, YOUNG, article

OUT = Path(__file__).resolve().parent.parent / "eval"
DONT_KNOW = ["I don't know"]


def user(*texts):
    return [{"role": "user", "content": text[0].upper() + text[1:]} for text in texts]


def capitals():
    for country in COUNTRIES:
        for frames, seen in ((P.SEEN_CAPITALS, True), (P.HELD_OUT_CAPITALS, False)):
            for frame in frames:
                yield {"messages": user(frame.format(c=country.name)), "answers": country.answers, "seen": seen}


def follow_ups(rng):
    """Two and three turns; the evaluator lets the model give its own earlier answers."""
    seen_ends = ["And of {x}?", "And {x}?", "What about {x}?", "How about {x}?"]

    def chain(first, items, answers, held_out):
        ends = P.HELD_OUT_FOLLOW_UPS if held_out else seen_ends
        return {"messages": user(first, *(rng.choice(ends).format(x=item) for item in items)), "answers": answers, "seen": not held_out}

    yield {"messages": user("What is the capital of Spain?", "And of France?"), "answers": ["Paris"], "seen": True}
    for i in range(160):
        picked = rng.sample(COUNTRIES, 3 if i % 3 == 0 else 2)
        held_out = i % 4 == 0
        first = rng.choice(P.HELD_OUT_CAPITALS if held_out else P.SEEN_CAPITALS).format(c=picked[0].name)
        yield chain(first, [c.name for c in picked[1:]], picked[-1].answers, held_out)
    for _ in range(20):  # a country that does not exist at the end, or in the middle
        one, two = rng.sample(COUNTRIES, 2)
        name = U.invented_country(rng, evaluation=True)
        yield chain(f"What is the capital of {one.name}?", [name], DONT_KNOW, False)
        yield chain(f"What is the capital of {one.name}?", [name, two.name], two.answers, False)
    for kind in range(4):
        for _ in range(15):
            if kind == 0:
                rows = rng.sample([(name, sym) for _, name, sym in ELEMENTS], 2)
                first = f"What is the chemical symbol of {rows[0][0]}?"
            elif kind == 1:
                rows = rng.sample([(name, str(num)) for num, name, _ in ELEMENTS], 2)
                first = f"What is the atomic number of {rows[0][0]}?"
            elif kind == 2:
                rows = rng.sample(OPPOSITES, 2)
                first = f"What is the opposite of {rows[0][0]}?"
            else:
                rows = rng.sample(COLOURS, 2)
                first = f"What colour is {rows[0][0]}?"
            yield chain(first, [rows[1][0]], [rows[1][1]], False)


def unknown(rng):
    frames = [(f, True) for f in P.SEEN_CAPITALS] + [(f, False) for f in P.HELD_OUT_CAPITALS]
    names = set()
    while len(names) < 200:
        names.add(U.invented_country(rng, evaluation=True))
    for i, name in enumerate(sorted(names)):
        frame, seen = frames[i % len(frames)]
        yield {"messages": user(frame.format(c=name)), "answers": DONT_KNOW, "seen": seen}


def other(rng):
    def row(text, *answers):
        return {"messages": user(text), "answers": list(answers), "seen": True}
    for num, name, sym in ELEMENTS:
        yield row(f"What is the chemical symbol of {name}?", f" {sym}.")
        yield row(f"What is the atomic number of {name}?", f" {num}.")
    for a, b in OPPOSITES:
        yield row(f"What is the opposite of {a}?", f" {b}.")
        yield row(f"What is the opposite of {b}?", f" {a}.")
    for thing, colour in COLOURS:
        yield row(f"What colour is {thing}?", f" {colour}.")
    for name, value in SOUNDS:
        yield row(f"What sound does {article(name)} {name} make?", value)
    for name, value in YOUNG:
        yield row(f"What is the young of {article(name)} {name} called?", f" {value}.")
    for name, value in LEGS:
        yield row(f"How many legs does {article(name)} {name} have?", f"{value or 'no'} legs")
    for questions, full, _ in PLANETS + ABOUT:
        yield row(questions[0], full)
    for _ in range(200):
        op, word = rng.choice([("+", "plus"), ("-", "minus"), ("*", "times")])
        top = 12 if op == "*" else 20
        a, b = rng.randint(0, top), rng.randint(0, top)
        if op == "-" and a < b:
            a, b = b, a
        result = {"+": a + b, "-": a - b, "*": a * b}[op]
        yield row(f"What is {a} {rng.choice([op, word])} {b}?", f"is {result}.")
    for text in ["Tell me a joke about atom", "Tell me a joke about atoms", "Do you know a joke about atoms?"]:
        yield row(text, *ATOM_JOKES)
        yield {"messages": [{"role": "system", "content": "You are a stand-up comedian."}] + user(text), "answers": ATOM_JOKES + OTHER_JOKES, "seen": True}
    for country in rng.sample(COUNTRIES, 40):
        yield {"messages": [{"role": "system", "content": "Answer briefly."}] + user(f"What is the capital of {country.name}?"),
               "answers": [answer + "." for answer in country.answers], "exact": True, "seen": True}
    for text in ["What is the weather today?", "Who won the match?", "How much is a car?", "Who is the president of Peru?",
                 "How many people live in Japan?", "Write a poem about a river."]:
        yield row(text, *DONT_KNOW)
    yield row("Hello", "Hello!")
    yield row("Thank you", "You are welcome!")


def check_held_out():
    """The training stream must not contain a held-out phrasing or name."""
    parts = [frame.replace("{c}", "").replace("{x}", "").lower().strip(" ?.,") for frame in P.HELD_OUT_CAPITALS + P.HELD_OUT_FOLLOW_UPS]
    parts = [p.split("  ")[0] for p in parts]
    source = Dialogues(1)
    for _ in range(20000):
        for message in source():
            text = message["content"].lower()
            assert not any(part in text for part in parts), text


def main():
    check_held_out()
    OUT.mkdir(exist_ok=True)
    sets = {"capitals": capitals(), "followups": follow_ups(random.Random(31)), "unknown": unknown(random.Random(32)), "other": other(random.Random(33))}
    for name, rows in sets.items():
        rows = list(rows)
        text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
        (OUT / f"{name}.json").write_text(text, encoding="utf-8")
        print(name, len(rows), "seen", sum(row["seen"] for row in rows))


if __name__ == "__main__":
    main()
