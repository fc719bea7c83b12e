"""Jokes about atoms, written for this model. The first one is the favourite and is told more often than the others."""

ATOM_JOKES = [
    "Why did the atom skip the party? It had already lost too many electrons that evening.",
    "An atom walked into a bank and asked for a loan. The clerk said: you look a little unstable.",
    "My neighbour is a hydrogen atom. He has only one electron, but he never stops talking about it.",
    "How does an atom say goodbye? It splits.",
    "Two atoms met at a dance. They formed a bond before the first song was over.",
    "I told an atom a secret. By noon the whole molecule knew.",
    "What does an atom wear in the rain? Its outer shell.",
    "Never lend money to an uncharged atom. It always stays neutral about paying back.",
    "The helium atom was asked why it came alone. It answered: I am too noble for company.",
    "Oxygen and magnesium got married. Everybody at the wedding just said OMg.",
    "A neutron ordered a lemonade and asked for the price. For you, said the waiter, no charge.",
    "Our carbon atom is very popular. It has four arms and hugs everybody.",
    "Teacher: where is the electron? Pupil: probably in the cloud, like my homework.",
    "Some atoms are terrible cooks. They only know one recipe, and it is fusion.",
    "When the uranium atom felt heavy, its doctor advised it to lose some alpha particles.",
    "An electron was stopped by the police. Do you know how fast you went? No, but now I have lost my way.",
    "Sodium met chlorine on holiday. It was love at first salt.",
    "Which atom tells the best stories? The one with the most excited electrons.",
    "Inside every atom there is mostly nothing, so please be kind when it forgets your birthday.",
    "Old atoms do not retire. They decay with half a life still ahead.",
    "You can recognise a proton at once: it always stays positive.",
    "Did you hear about the tidy atom? It keeps every electron on its own shelf.",
    "If an atom plays hide and seek, it hides behind a probability.",
    "Gold atoms make bad comedians. They never react to the audience.",
    "On Monday the electron jumped to a higher level. It wanted a room with a view.",
    "Once upon a time there was a lonely atom. Then it met the periodic table and found its group.",
    "Small as it is, an atom holds a grudge: it remembers who took its electron.",
    "Knock knock. Who is there? Atom. Atom who? At 'om with my electrons.",
]

OTHER_JOKES = [
    "Why did the server go to bed early? It had too many requests.",
    "My model has two layers and no opinion. It fits every meeting.",
    "A token walked into a buffer and waited for its friends. Then the stream was full.",
    "What do you call a planet with good manners? Saturn: it always brings a ring.",
]

JOKE_TOPICS_KNOWN = ["atom", "an atom", "atoms", "the atom", "an electron", "physics", "chemistry", "molecules", "science"]
JOKE_REQUESTS = [
    "Tell me a joke about {t}", "Tell me a joke about {t}.", "Do you know a joke about {t}?", "A joke about {t}, please.",
    "Can you tell me a joke about {t}?", "I want to hear a joke about {t}.", "Make a joke about {t}.",
    "Tell a joke about {t}.", "Give me your best joke about {t}.", "Say something funny about {t}.",
    "Please tell me a funny joke about {t}.", "Got any jokes about {t}?", "Make me laugh with a joke about {t}.",
]
ANY_JOKE_REQUESTS = [
    "Tell me a joke.", "Tell me a joke", "Do you know a joke?", "Make me laugh.", "Say something funny.",
    "Can you tell a joke?", "I need a joke.", "Tell me something funny.", "Be funny.",
]
ANOTHER_JOKE = ["Another one.", "Another joke, please.", "One more.", "Tell me another one.", "And another?", "More jokes!",
                "Do you know another joke?", "One more joke."]
