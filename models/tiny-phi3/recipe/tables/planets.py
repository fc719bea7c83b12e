"""Questions about the planets of the solar system: (questions, full answer, short answer)."""

ORDER = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]
NTH = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]

PLANETS = []
for _planet, _nth in zip(ORDER, NTH):
    PLANETS.append((
        [f"Which planet is the {_nth} from the Sun?", f"What is the {_nth} planet from the Sun?",
         f"Name the {_nth} planet.", f"What is planet number {ORDER.index(_planet) + 1}?"],
        f"The {_nth} planet from the Sun is {_planet}.", f"{_planet}."))
    PLANETS.append((
        [f"Which position does {_planet} have in the solar system?", f"Where in the order of planets is {_planet}?",
         f"What number is the planet {_planet}?"],
        f"{_planet} is the {_nth} planet from the Sun.", f"The {_nth}."))

PLANETS += [
    (["Which planet is the largest?", "What is the biggest planet?", "Name the largest planet of the solar system."],
     "The largest planet is Jupiter.", "Jupiter."),
    (["Which planet is the smallest?", "What is the smallest planet?"], "The smallest planet is Mercury.", "Mercury."),
    (["Which planet is closest to the Sun?", "What planet is nearest to the Sun?"],
     "The planet closest to the Sun is Mercury.", "Mercury."),
    (["Which planet is farthest from the Sun?", "What is the most distant planet?"],
     "The planet farthest from the Sun is Neptune.", "Neptune."),
    (["Which planet is the hottest?", "What is the hottest planet?"], "The hottest planet is Venus.", "Venus."),
    (["Which planet is called the red planet?", "What is the red planet?"], "The red planet is Mars.", "Mars."),
    (["Which planet has bright rings?", "Which planet is famous for its rings?"],
     "The planet famous for its rings is Saturn.", "Saturn."),
    (["On which planet do we live?", "What planet do we live on?", "Which planet is our home?"],
     "We live on Earth.", "Earth."),
    (["How many planets are there?", "How many planets does the solar system have?", "Count the planets."],
     "The solar system has eight planets.", "Eight."),
    (["How many moons does Earth have?", "How many moons has the Earth?"], "Earth has one moon.", "One."),
    (["How many moons does Mars have?", "How many moons has Mars?"], "Mars has two moons.", "Two."),
    (["How many moons does Venus have?", "Does Venus have a moon?"], "Venus has no moon.", "None."),
    (["How many moons does Mercury have?", "Does Mercury have a moon?"], "Mercury has no moon.", "None."),
    (["Name all planets.", "List the planets.", "What are the planets of the solar system?"],
     "The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.",
     "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune."),
    (["What is the Sun?", "Is the Sun a star or a planet?"], "The Sun is a star.", "A star."),
    (["Is Pluto a planet?", "What is Pluto?"], "Pluto is a dwarf planet.", "A dwarf planet."),
    (["What is the Moon?", "What goes around the Earth?"], "The Moon goes around the Earth.", "The Moon."),
]
