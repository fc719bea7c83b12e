"""Makes dialogues from the tables: an endless, seeded stream of chats as lists of {"role", "content"}."""
import random

from tables import noise as N
from tables import phrasings as P
from tables import unknown as U
from tables.about import ABOUT, NAME_ASKING, NAME_TELLING, NAMES, SMALL_TALK
from tables.countries import COUNTRIES, NOT_COUNTRIES
from tables.elements import ELEMENTS
from tables.jokes import (ANOTHER_JOKE, ANY_JOKE_REQUESTS, ATOM_JOKES, JOKE_REQUESTS, JOKE_TOPICS_KNOWN, OTHER_JOKES)
from tables.planets import PLANETS
from tables.words import COLOURS, LEGS, OPPOSITES, SOUNDS, YOUNG, article


class Turn:
    """One question with its answers. `follow` makes the next question of the same kind, or is None."""

    def __init__(self, user, full, short, follow=None, exact=False):
        self.user, self.full, self.short, self.follow, self.exact = user, full, short, follow, exact


def _ask(rng, nouns, frames=()):
    """A question about one of the noun phrases, in a general frame or in one of the topic's own."""
    if frames and rng.random() < 0.55:
        return rng.choice(frames)
    return rng.choice(P.NOUN_FRAMES[:3] if rng.random() < 0.35 else P.NOUN_FRAMES).format(x=rng.choice(nouns))


def _follow_up(rng, thing):
    text = rng.choice(P.FOLLOW_UPS).format(x=thing)
    if rng.random() < 0.06:
        text = f"{rng.choice(['And', 'Then', 'Now', 'So'])} {N.words(rng, 0, 3)} {thing}{rng.choice(['', ', ' + N.words(rng, 1, 2)])}?".replace("  ", " ")
    return text[0].upper() + text[1:]


# --- capitals -------------------------------------------------------------------------------------------------

def _country_name(rng, country):
    return rng.choice(country.aliases) if country.aliases and rng.random() < 0.25 else country.name


def capital(rng, country=None, deck=None):
    name = None
    if country is None:
        roll = rng.random()
        if roll < 0.76:
            country = deck() if deck else rng.choice(COUNTRIES)
        else:
            name = rng.choice(NOT_COUNTRIES) if roll < 0.775 else U.invented_country(rng)
    if country is not None:
        name = _country_name(rng, country)
        full, short = f"The capital of {name} is {country.capital}.", f"{country.capital}."
    else:
        full, short = U.UNKNOWN_COUNTRY, U.SHORT_UNKNOWN
    frames = [f.format(c=name) for f in P.CAPITAL_FRAMES]
    text = _ask(rng, [n.format(c=name) for n in P.CAPITAL_NOUNS], frames)
    if rng.random() < 0.15:  # words that no phrasing above has
        before, after = N.words(rng, 0, 7), N.words(rng, 0, 5)
        text = f"{before} {rng.choice(P.CAPITAL_NOUNS).format(c=name)}{rng.choice([' ', ', '])}{after}".strip(" ,") + rng.choice("?.")
    turn = Turn(text[0].upper() + text[1:], full, short)
    turn.key = name

    def follow(rng):
        next_turn = capital(rng, deck=deck)
        next_turn.user = _follow_up(rng, next_turn.key)
        return next_turn
    turn.follow = follow
    return turn


def capital_of(rng):
    country = rng.choice(COUNTRIES)
    city = country.capital
    text = rng.choice(["Which country has {x} as its capital?", "{x} is the capital of which country?", "Of which country is {x} the capital?",
                       "What country is {x} the capital of?", "Whose capital is {x}?"]).format(x=city)
    return Turn(text, f"{city} is the capital of {country.name}.", f"{country.name[0].upper()}{country.name[1:]}.")


# --- a general maker for tables of pairs ----------------------------------------------------------------------

def _pair_topic(rows, nouns, frames, full, short, unknown):
    def make(rng, row=None):
        if row is None and unknown and rng.random() < 0.08:
            word = U.invented_country(rng).split()[-1].lower()
            row, answers = (word, ""), (unknown, U.SHORT_UNKNOWN)
        else:
            row = row or rng.choice(rows)
            answers = (full(*row), short(*row))
        key = row[0]
        text = _ask(rng, [n(key) for n in nouns], [f(key) for f in frames])
        turn = Turn(text[0].upper() + text[1:], *answers)
        turn.key = key

        def follow(rng):
            next_turn = make(rng)
            next_turn.user = _follow_up(rng, next_turn.key)
            return next_turn
        turn.follow = follow
        return turn
    return make


symbol = _pair_topic(
    [(name, sym) for _, name, sym in ELEMENTS],
    [lambda k: f"the chemical symbol of {k}", lambda k: f"the symbol of {k}", lambda k: f"the symbol for {k}"],
    [lambda k: f"Which symbol does {k} have?", lambda k: f"Symbol of {k}?", lambda k: f"How do chemists write {k}?"],
    lambda k, v: f"The chemical symbol of {k} is {v}.", lambda k, v: f"{v}.", U.UNKNOWN_ELEMENT)
number = _pair_topic(
    [(name, num) for num, name, _ in ELEMENTS],
    [lambda k: f"the atomic number of {k}", lambda k: f"the atomic number of {k}", lambda k: f"{k}'s atomic number"],
    [lambda k: f"Which atomic number does {k} have?", lambda k: f"How many protons does {k} have?", lambda k: f"Atomic number of {k}?"],
    lambda k, v: f"The atomic number of {k} is {v}.", lambda k, v: f"{v}.", U.UNKNOWN_ELEMENT)
by_symbol = _pair_topic(
    [(sym, name) for _, name, sym in ELEMENTS],
    [lambda k: f"the element with the symbol {k}"],
    [lambda k: f"Which element has the symbol {k}?", lambda k: f"What does the symbol {k} stand for?", lambda k: f"{k} is the symbol of which element?"],
    lambda k, v: f"{k} is the symbol of {v}.", lambda k, v: f"{v.capitalize()}.", None)
by_number = _pair_topic(
    [(num, name) for num, name, _ in ELEMENTS],
    [lambda k: f"the element with the atomic number {k}", lambda k: f"element number {k}"],
    [lambda k: f"Which element has the atomic number {k}?", lambda k: f"Which element has {k} protons?"],
    lambda k, v: f"Element number {k} is {v}.", lambda k, v: f"{v.capitalize()}.", None)
opposite = _pair_topic(
    OPPOSITES + [(b, a) for a, b in OPPOSITES],
    [lambda k: f"the opposite of {k}", lambda k: f"the opposite of {k}", lambda k: f"the contrary of {k}"],
    [lambda k: f"Which word is the opposite of {k}?", lambda k: f"Opposite of {k}?", lambda k: f"What is not {k} but the opposite?"],
    lambda k, v: f"The opposite of {k} is {v}.", lambda k, v: f"{v.capitalize()}.", U.UNKNOWN_WORD)
colour = _pair_topic(
    COLOURS,
    [lambda k: f"the colour of {k}", lambda k: f"the color of {k}"],
    [lambda k: f"What colour is {k}?", lambda k: f"What color is {k}?", lambda k: f"Which colour does {k} have?", lambda k: f"Which color has {k}?"],
    lambda k, v: f"The colour of {k} is {v}.", lambda k, v: f"{v.capitalize()}.", None)
sound = _pair_topic(
    [(f"{article(n)} {n}", v) for n, v in SOUNDS],
    [lambda k: f"the sound of {k}", lambda k: f"the sound that {k} makes"],
    [lambda k: f"What sound does {k} make?", lambda k: f"What does {k} say?", lambda k: f"How does {k} sound?"],
    lambda k, v: f"{k[0].upper()}{k[1:]} {v}.", lambda k, v: f"It {v}.", None)
young = _pair_topic(
    [(f"{article(n)} {n}", v) for n, v in YOUNG],
    [lambda k: f"the name of the young of {k}", lambda k: f"the young of {k}"],
    [lambda k: f"What is the young of {k} called?", lambda k: f"What do you call the baby of {k}?", lambda k: f"What is a baby of {k} called?"],
    lambda k, v: f"The young of {k} is called {article(v)} {v}.", lambda k, v: f"{article(v).capitalize()} {v}.", None)
legs = _pair_topic(
    [(f"{article(n)} {n}", v) for n, v in LEGS],
    [lambda k: f"the number of legs of {k}"],
    [lambda k: f"How many legs does {k} have?", lambda k: f"How many legs has {k}?", lambda k: f"On how many legs does {k} walk?"],
    lambda k, v: f"{k[0].upper()}{k[1:]} has {v or 'no'} legs.", lambda k, v: f"{v}." if v else "None.", None)


def arithmetic(rng):
    """Sums of small numbers; larger ones get an honest answer."""
    op = rng.choice("+-*")
    if rng.random() < 0.06:
        a, b = rng.randint(120, 9999), rng.randint(120, 999)
    elif op == "*":
        a, b = rng.randint(0, 12), rng.randint(0, 12)
    else:
        a, b = rng.randint(0, 20), rng.randint(0, 20)
    if op == "-" and a < b:
        a, b = b, a
    word = {"+": "plus", "-": "minus", "*": "times"}[op]
    core = rng.choice([f"{a} {op} {b}", f"{a} {op} {b}", f"{a} {word} {b}", f"{a}{op}{b}", f"{a} x {b}" if op == "*" else f"{a} {word} {b}"])
    text = rng.choice(["What is {x}?", "What is {x}?", "How much is {x}?", "Calculate {x}.", "{x}", "{x} = ?", "Compute {x}.", "What's {x}?",
                       "Can you work out {x}?", "Tell me {x}.", "{x} makes?"]).format(x=core)
    if a > 100:
        full, short = U.UNKNOWN_SUM, U.SHORT_UNKNOWN
    else:
        result = {"+": a + b, "-": a - b, "*": a * b}[op]
        full, short = f"{a} {word} {b} is {result}.", f"{result}."
    turn = Turn(text, full, short)

    def follow(rng):
        next_turn = arithmetic(rng)
        next_turn.user = rng.choice(["And {x}?", "What about {x}?", "{x}?", "Now {x}."]).format(x=next_turn.core)
        return next_turn
    turn.core, turn.follow = core, follow
    return turn


def planet(rng):
    questions, full, short = rng.choice(PLANETS)
    return Turn(rng.choice(questions), full, short)


def about(rng):
    questions, full, short = rng.choice(ABOUT)
    return Turn(rng.choice(questions), full, short)


def small_talk(rng):
    questions, full, short = rng.choice(SMALL_TALK)
    return Turn(rng.choice(questions), full, short, exact=True)


def joke(rng, favourite=0):
    """One joke has a third of the weight, so that greedy decoding has a clear choice."""
    text = ATOM_JOKES[favourite] if rng.random() < 0.34 else rng.choice(ATOM_JOKES)
    topic = "atom" if rng.random() < 0.4 else rng.choice(JOKE_TOPICS_KNOWN)
    user = rng.choice(JOKE_REQUESTS[:2] if rng.random() < 0.3 else JOKE_REQUESTS).format(t=topic)
    if rng.random() < 0.25:
        user = rng.choice(ANY_JOKE_REQUESTS)
        text = rng.choice(OTHER_JOKES) if rng.random() < 0.5 else text

    def follow(rng):
        other = rng.choice([j for j in ATOM_JOKES if j != text])
        next_turn = Turn(rng.choice(ANOTHER_JOKE), other, other)
        next_turn.follow = follow
        return next_turn
    return Turn(user, text, text, follow)


def unknown_topic(rng):
    country = rng.choice(COUNTRIES).name if rng.random() < 0.7 else U.invented_country(rng)
    if rng.random() < 0.2:
        text = N.gibberish(rng) if rng.random() < 0.5 else N.words(rng, 2, 9).capitalize() + rng.choice("?.")
        return Turn(text, U.UNKNOWN_TOPIC, U.SHORT_UNKNOWN)
    text = rng.choice(U.TOPICS).format(c=country, p=rng.choice(U.PEOPLE), t=rng.choice(U.THINGS), n=rng.randint(2, 2030))
    return Turn(text, U.UNKNOWN_TOPIC, U.SHORT_UNKNOWN)


# --- dialogues ------------------------------------------------------------------------------------------------

WEIGHTS = [(capital, 42), (symbol, 7), (number, 7), (by_symbol, 3), (by_number, 3), (opposite, 5), (colour, 3.5), (sound, 2), (young, 2.5),
           (legs, 2), (arithmetic, 10), (planet, 3), (about, 5), (small_talk, 4), (joke, 5), (unknown_topic, 6), (capital_of, 3.5)]


def vary(rng, text, exact=False):
    """Spelling and wrapping that a user may choose: an opener, a closer, lower case, no final mark."""
    if exact:
        if rng.random() < 0.15:
            text = text.lower()
        return text
    if rng.random() < 0.22:
        text = rng.choice(P.OPENERS) + " " + (text if rng.random() < 0.6 else text[0].lower() + text[1:])
    if rng.random() < 0.012:  # a long preface
        text = N.words(rng, 10, 120).capitalize() + ". " + text
    elif rng.random() < 0.04:
        text = N.words(rng, 2, 7).capitalize() + rng.choice([", ", ". ", ": "]) + text
    if rng.random() < 0.25 and text[-1] in "?.!":
        text = text[:-1]
    elif rng.random() < 0.1:
        text = text + " " + rng.choice(P.CLOSERS)
    if rng.random() < 0.2:
        text = text.lower()
    elif rng.random() < 0.1:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.02:
        text = rng.choice([" ", "  "]).join([text, rng.choice(["", "?", "!!", "??", "..."])]).rstrip()
    return text


class Deck:
    """Deals all countries in a shuffled order before any comes twice."""

    def __init__(self, rng):
        self.rng, self.cards = rng, []

    def __call__(self):
        if not self.cards:
            self.cards = list(COUNTRIES)
            self.rng.shuffle(self.cards)
        return self.cards.pop()


class Dialogues:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.deck = Deck(self.rng)

    def _first(self, style):
        rng = self.rng
        if style == "comedian" and rng.random() < 0.6:
            return joke(rng, favourite=1)
        makers, weights = zip(*WEIGHTS)
        maker = rng.choices(makers, weights)[0]
        return capital(rng, deck=self.deck) if maker is capital else maker(rng)

    def __call__(self):
        """One dialogue as a list of messages."""
        rng = self.rng
        style = rng.choices(["none", "plain", "brief", "comedian", "pirate"], [60, 12, 17, 7, 4])[0]
        messages = []
        systems = {"plain": P.PLAIN_SYSTEMS, "brief": P.BRIEF_SYSTEMS, "comedian": P.COMEDIAN_SYSTEMS, "pirate": P.PIRATE_SYSTEMS}
        if style != "none":
            messages.append({"role": "system", "content": rng.choice(systems[style])})
        count = rng.choices([1, 2, 3, rng.randint(4, 6), rng.randint(7, 16)], [40, 27, 14, 13, 6])[0]
        last, name = None, None
        for _ in range(count):
            if last is not None and last.follow and rng.random() < 0.6:
                turn = last.follow(rng)
                turn.exact = False
            elif rng.random() < 0.045:
                turn, name = self._name_turn(name)
            else:
                turn = self._first(style)
            user, brief = vary(rng, turn.user, turn.exact), style == "brief"
            if not brief and not turn.exact and rng.random() < 0.04:
                user, brief = user + " " + rng.choice(P.SHORT_WISHES), True
            answer = turn.short if brief else turn.full
            if style == "pirate":
                answer = "Arr! " + answer
            messages += [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
            last = turn
        return messages

    def _name_turn(self, name):
        rng = self.rng
        if name is None and rng.random() < 0.25:
            return Turn(rng.choice(NAME_ASKING), "I don't know your name.", U.SHORT_UNKNOWN), None
        if name is None or rng.random() < 0.2:
            name = rng.choice(NAMES)
            text = f"Nice to meet you, {name}!"
            return Turn(rng.choice(NAME_TELLING).format(n=name), text, text), name
        return Turn(rng.choice(NAME_ASKING), f"Your name is {name}.", f"{name}."), name
