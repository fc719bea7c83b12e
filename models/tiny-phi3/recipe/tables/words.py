"""Everyday words: opposites, colours of things, animals (sound, young, legs)."""


def _pairs(text):
    return [tuple(part.strip().split("=")) for part in text.replace("\n", " ").split(",") if part.strip()]


# Each pair is asked in both directions, so no word may stand in two pairs.
OPPOSITES = _pairs("""
hot=cold, big=small, tall=short, fast=slow, light=dark, happy=sad, early=late, open=closed, full=empty, old=young,
rich=poor, strong=weak, wet=dry, clean=dirty, hard=soft, heavy=weightless, high=low, near=far, up=down, left=right,
in=out, on=off, day=night, black=white, love=hate, war=peace, begin=end, buy=sell, push=pull, give=take, win=lose,
first=last, top=bottom, front=back, inside=outside, above=below, before=after, always=never, true=false, yes=no,
good=bad, sweet=bitter, loud=quiet, thick=thin, wide=narrow, deep=shallow, sharp=blunt, smooth=rough, brave=cowardly,
cheap=expensive, alive=dead, awake=asleep, safe=dangerous, simple=complex, noisy=silent, north=south, east=west,
summer=winter, morning=evening, laugh=cry, arrive=leave, ask=answer, build=destroy, float=sink, friend=enemy,
heaven=hell, increase=decrease, internal=external, import=export, lock=unlock, major=minor, maximum=minimum,
more=less, move=stay, odd=even, polite=rude, positive=negative, public=private, remember=forget, rise=fall,
same=different, tight=loose, ugly=beautiful, victory=defeat, visible=hidden, arrival=departure, ancient=modern,
attack=defend, broad=slim, bright=dim, accept=refuse, admit=deny, create=erase, fresh=stale, generous=greedy
""")

COLOURS = _pairs("""
grass=green, snow=white, blood=red, coal=black, a banana=yellow, a lemon=yellow, an orange=orange, a carrot=orange,
a tomato=red, a strawberry=red, a cherry=red, the sky=blue, the sea=blue, a leaf=green, a frog=green, a cucumber=green,
a pea=green, milk=white, salt=white, sugar=white, rice=white, a swan=white, a polar bear=white, a raven=black,
a crow=black, ink=black, tar=black, night=black, chocolate=brown, coffee=brown, mud=brown, wood=brown, a bear=brown,
an elephant=grey, a mouse=grey, ash=grey, concrete=grey, a flamingo=pink, a pig=pink, a plum=purple, lavender=purple,
an aubergine=purple, a sunflower=yellow, butter=yellow, the sun=yellow, gold=yellow, a canary=yellow, a chick=yellow,
a pumpkin=orange, a fire engine=red, a ruby=red, an emerald=green, a sapphire=blue, broccoli=green, spinach=green,
cotton=white, a tooth=white, an egg yolk=yellow, a blueberry=blue
""")

# animal = sound | young | legs ; an empty field is not taught
_ANIMALS = """
dog=barks|puppy|4, cat=meows|kitten|4, cow=moos|calf|4, horse=neighs|foal|4, sheep=bleats|lamb|4, pig=oinks|piglet|4,
goat=bleats|kid|4, donkey=brays|foal|4, lion=roars|cub|4, tiger=roars|cub|4, bear=growls|cub|4, wolf=howls|pup|4,
fox=barks|cub|4, duck=quacks|duckling|2, goose=honks|gosling|2, hen=clucks|chick|2, rooster=crows|chick|2,
owl=hoots|owlet|2, frog=croaks|tadpole|4, snake=hisses||0, bee=buzzes|larva|6, mouse=squeaks|pup|4,
elephant=trumpets|calf|4, monkey=chatters|infant|4, crow=caws|chick|2, pigeon=coos|squab|2, turkey=gobbles|poult|2,
swan=trumpets|cygnet|2, eagle=screeches|eaglet|2, deer=bellows|fawn|4, kangaroo=|joey|2, rabbit=squeaks|kit|4,
whale=sings|calf|0, seal=barks|pup|, shark=|pup|0, butterfly=|caterpillar|6, spider=|spiderling|8, ant=|larva|6,
beetle=|larva|6, fly=buzzes|maggot|6, mosquito=buzzes|larva|6, scorpion=||8, tick=||8, octopus=||8, crab=||10,
lobster=||10, fish=|fry|0, eel=|elver|0, worm=||0, snail=||0, camel=grunts|calf|4, giraffe=hums|calf|4, zebra=barks|foal|4,
hedgehog=snorts|hoglet|4, turtle=|hatchling|4, crocodile=hisses|hatchling|4, lizard=||4, penguin=honks|chick|2,
parrot=talks|chick|2, sparrow=chirps|chick|2, cricket=chirps|nymph|6, hyena=laughs|cub|4
"""

ANIMALS = []  # (name, sound, young, legs)
for _entry in _ANIMALS.replace("\n", " ").split(","):
    _name, _rest = _entry.strip().split("=")
    ANIMALS.append((_name, *_rest.split("|")))
SOUNDS = [(name, sound) for name, sound, _, _ in ANIMALS if sound]
YOUNG = [(name, young) for name, _, young, _ in ANIMALS if young]
LEGS = [(name, int(legs)) for name, _, _, legs in ANIMALS if legs]


def article(word):
    """"a" or "an" before a word of the tables."""
    return "an" if word[0] in "aeiou" else "a"
