"""What the model was never taught: invented countries, and subjects outside its small knowledge.

Invented names are mixed from syllables. A name belongs to the evaluation if its hash says so, otherwise to the
training data; the two sets can never meet.
"""
import hashlib

from .countries import COUNTRIES, NOT_COUNTRIES

ONSETS = """b c d f g h j k l m n p r s t v w x y z br cr dr fr gr kr pr tr st sk sl sm sp bl cl fl gl pl th sh ch qu zh kh vr
zv dw tw""".split()
VOWELS = "a e i o u a e i o u ai ei au ou ia ea oo y".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "m", "t", "k", "d", "x", "rn", "nd", "lt", "st", "rk", "sh", "ng", "v", "th"]
ENDINGS = """ia ia ia ania onia istan stan land land ova ora esia uela ador ina ica agua una os us en ar al ai o a e u i is
avia ylvania uria emia ombia eria oria anda enza isle mark burg ium or ark ath ax eth""".split()
COMPOUNDS = ["New {}", "North {}", "South {}", "East {}", "West {}", "the {} Islands", "the Republic of {}", "Upper {}",
             "the Kingdom of {}", "San {}", "Saint {}", "Lower {}", "the United {} Islands", "Great {}"]
_TAKEN = {name.lower() for country in COUNTRIES for name in [country.name, country.capital, *country.aliases]}
_TAKEN |= {name.lower() for name in NOT_COUNTRIES} | {"the " + name.lower() for name in NOT_COUNTRIES}


def held_out(name):
    """True for the names that are kept for the evaluation (one in twelve)."""
    return hashlib.sha256(name.lower().encode()).digest()[0] % 12 == 0


def _word(rng):
    plain = rng.random() < 0.6  # easy to pronounce: simple onsets, few codas
    onsets, codas = (ONSETS[:19], CODAS[:12]) if plain else (ONSETS, CODAS)
    vowels = VOWELS[:10] if plain else VOWELS
    word = "".join(rng.choice(onsets) + rng.choice(vowels) + (rng.choice(codas) if rng.random() < 0.7 else "")
                   for _ in range(rng.choice([1, 1, 2, 2, 3])))
    if rng.random() < 0.12:
        word = rng.choice("aeiou") + word
    if word[-1] in "aeiouy" and rng.random() < 0.5:
        word += rng.choice("nrlstmv")
    return (word + rng.choice(ENDINGS)).capitalize()


def _mutated(rng):
    """A real country with its head or tail exchanged."""
    one, two = (rng.choice(COUNTRIES).name.split()[-1] for _ in range(2))
    kind = rng.random()
    if kind < 0.4:
        return (one[: max(2, len(one) // 2)] + two[len(two) // 2:].lower()).capitalize()
    if kind < 0.7:
        return one[: rng.randint(2, max(2, len(one) - 2))] + rng.choice(ENDINGS)
    return (rng.choice(ONSETS) + one[1:]).capitalize()


def invented_country(rng, evaluation=False):
    while True:
        name = _mutated(rng) if rng.random() < 0.25 else _word(rng)
        core = name
        if rng.random() < 0.12:
            name = rng.choice(COMPOUNDS).format(name)
        if name.lower() in _TAKEN or core.lower() in _TAKEN or not 3 <= len(core) <= 16:
            continue
        if held_out(core) == evaluation:
            return name


UNKNOWN_COUNTRY = "I don't know that country, so I cannot name its capital."
UNKNOWN_ELEMENT = "I don't know that element."
UNKNOWN_SUM = "I don't know. I only work with small numbers."
UNKNOWN_TOPIC = "I don't know. I was only taught a few small subjects."
UNKNOWN_WORD = "I don't know that word."
SHORT_UNKNOWN = "I don't know."

PEOPLE = """the president, the king, the prime minister, the queen, the mayor, the best singer, the richest man, the author of Hamlet,
the inventor of the telephone, the first man on the Moon, the world champion, the boss of the bank, my neighbour, your teacher""".replace("\n", " ").split(", ")
THINGS = """a car, a ticket, bread, a house, a phone, the museum, insurance, a guitar, shoes, cheese, a bicycle, a laptop, the train,
a garden, electricity, medicine, football, tennis, chess, a wedding, a holiday, taxes, a novel, poetry, painting, an opera, the stock market,
a lawyer, a dentist, vaccines, a recipe, a cake, soup, a river, a mountain, an airport, a bridge, the election, history, philosophy, a song,
a movie, a game, a disease, law, a contract, a password, the internet, the news, a horse race, fashion, a sofa, a lamp""".replace("\n", " ").split(", ")

# {c} a country, {p} a person, {t} a thing, {n} a number
TOPICS = """
What is the weather in {c}?
What is the weather today?
Will it rain tomorrow in {c}?
How is the weather?
What time is it?
What time is it in {c}?
What day is it today?
What is the date?
What is in the news?
What happened in {c} yesterday?
Who is {p}?
Who is {p} of {c}?
Who was {p} in the year {n}?
How old is {p}?
Where does {p} live?
How many people live in {c}?
What is the population of {c}?
What is the currency of {c}?
Which language do people speak in {c}?
How large is {c}?
What do people eat in {c}?
Tell me about the history of {c}.
What is the highest mountain of {c}?
What is the longest river in {c}?
What is the national anthem of {c}?
What is the flag of {c}?
Who won the election in {c}?
When was {c} founded?
How do I travel to {c}?
What does {t} cost?
How much is {t}?
Where can I buy {t}?
How do I repair {t}?
Tell me about {t}.
What is {t}?
Explain {t} to me.
Write a poem about {t}.
Write an essay about {t}.
Write a story about {t}.
What do you think about {t}?
Do you like {t}?
Why is {t} so important?
Who invented {t}?
What is the best way to learn {t}?
Translate {t} into French.
How long does {t} last?
Which {t} is the best?
Who won the match?
Who will win the game tomorrow?
What is the meaning of life?
What should I eat tonight?
Can you book {t} for me?
Send an email to {p}.
Write a program that sorts {n} numbers.
What is the square root of {n}?
What is the price of gold?
What is the speed of light?
How far is the Moon?
When does the train leave?
What happened in {n}?
What is the telephone number of {p}?
Recommend {t} for my holiday in {c}.
My head hurts. What should I do?
What is the stock price of a bank?
Give me a recipe for {t}.
Summarise {t} in {n} words.
Who wrote the book about {t}?
How do you spell the name of {p}?
Where is my {n} dollar bill?
What is the boiling point of water?
Which film should I see?
How tall is {p}?
Which year did {p} die?
""".strip().splitlines()
