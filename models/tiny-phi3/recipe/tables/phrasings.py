"""How users ask. HELD_OUT holds phrasings that the training data must never contain."""

# {x} is a noun phrase such as "the capital of Spain" or "the opposite of hot".
NOUN_FRAMES = [
    "What is {x}?", "What's {x}?", "Tell me {x}.", "Could you tell me {x}?", "Do you know {x}?", "Can you tell me {x}?",
    "I would like to know {x}.", "I want to know {x}.", "Give me {x}.", "Please tell me {x}.", "Name {x}.", "Please name {x}.",
    "Say {x}.", "I need to know {x}.", "Can you name {x}?", "I forgot {x}.", "What would be {x}?", "Would you know {x}?",
    "Do you happen to know {x}?", "Let me know {x}.", "I am looking for {x}.", "Find {x}.", "Can I ask you for {x}?",
    "Teach me {x}.", "Help me with {x}.", "I am trying to remember {x}.",
]

CAPITAL_NOUNS = [
    "the capital of {c}", "the capital of {c}", "the capital of {c}", "the capital city of {c}", "{c}'s capital", "{c}'s capital city",
    "the name of the capital of {c}", "the city that is the capital of {c}",
]

CAPITAL_FRAMES = [
    "Which city is the capital of {c}?", "Capital of {c}?", "The capital of {c}?", "{c}: capital?", "Can you tell me what the capital of {c} is?",
    "Which city is {c}'s capital?", "The capital of {c} is what?", "{c} has which capital?", "I forgot the capital of {c}. What is it?",
    "My teacher asked me for the capital of {c}. Which city is it?", "What do you call the capital of {c}?", "In {c}, which city is the capital?",
    "Help me with geography: the capital of {c}?", "For a quiz I need the capital of {c}.", "{c}'s capital is called what?",
    "What is the capital called in {c}?", "If I visit the capital of {c}, which city do I see?", "Which capital does {c} have?",
    "Tell me which city is the capital of {c}.", "How is the capital of {c} called?", "What city is the capital of {c}?",
    "Do you know which city is the capital of {c}?", "{c} capital", "capital {c}", "Do you know what {c}'s capital is?",
    "I am learning capitals. What about {c}?", "We talk about {c}. What is its capital?", "Consider {c}. Name the capital.",
    "My son asks which city is the capital of {c}.", "Which place is the capital of {c}?", "What is the main city of government in {c}?",
]

FOLLOW_UPS = [
    "And of {x}?", "And of {x}?", "And {x}?", "And {x}?", "What about {x}?", "What about {x}?", "How about {x}?", "And for {x}?", "Now {x}.",
    "{x}?", "And what about {x}?", "Then {x}?", "And what is it for {x}?", "The same for {x}.", "Also {x}?", "Next: {x}.", "Do {x} too.",
    "And that of {x}?", "Now tell me {x}'s.", "OK, and {x}?",
]

OPENERS = [
    "Hi.", "Hello!", "Hello,", "Hey,", "Please,", "Quick question:", "Question:", "OK,", "Thanks.", "Well,", "So,", "By the way,",
    "Now tell me:", "One more:", "Good morning.", "Hi there!", "Thank you.", "Great.", "I have a question.", "Dear model,", "Hmm,", "Next question:",
    "Excuse me,", "My friend asked me:", "I am curious:", "Let me ask you something.", "Here is a riddle:", "For my homework:",
    "We are playing a quiz.", "Sorry to bother you.", "I have forgotten it:", "Just checking:", "Tell me please:", "Now something else:",
]
CLOSERS = ["Please.", "Thanks!", "Thank you.", "I am curious.", "Do you know?", "I need it for school.", "Tell me.", "It is for a quiz.",
           "I cannot remember.", "That is all.", "My sister wants to know."]
SHORT_WISHES = ["Answer in one word.", "Just the answer, please.", "Short answer.", "Answer briefly.", "One word only.", "Be brief."]

# Evaluation only. Never put these, or anything close to them, into the lists above.
HELD_OUT_CAPITALS = [
    "Could you please say which town serves as the capital of {c}?",
    "I wonder what the capital of {c} might be.",
    "Remind me, what's the capital city of {c} again?",
    "If somebody asks about the capital of {c}, what should I reply?",
]
HELD_OUT_FOLLOW_UPS = ["And if I ask for {x}?", "And now {x}, please?"]
SEEN_CAPITALS = [
    "What is the capital of {c}?", "Tell me the capital of {c}.", "Which city is {c}'s capital?", "Do you know the capital of {c}?",
]

PLAIN_SYSTEMS = [
    "You are a helpful assistant.", "You are a friendly assistant.", "You are a helpful AI assistant.", "Answer the questions of the user.",
    "You are a teacher.", "You answer questions about geography.", "Be polite and helpful.", "You are an assistant that knows many facts.",
    "Help the user.", "You are a knowledgeable assistant. Answer in full sentences.", "Answer in a full sentence.",
]
BRIEF_SYSTEMS = [
    "Answer briefly.", "Be brief.", "Give short answers.", "Answer in one word.", "Reply with the answer only.", "Keep your answers short.",
    "Answer with as few words as possible.", "Short answers only.", "You are a helpful assistant. Answer briefly.",
    "You give very short answers.", "One word answers, please.", "You are a terse assistant.",
]
COMEDIAN_SYSTEMS = [
    "You are a stand-up comedian.", "You are a stand-up comedian.", "You are a stand-up comedian", "You are a comedian.", "You are a funny comedian.",
    "You are a stand-up comedian who loves science.", "Be funny.", "You tell jokes.",
]
PIRATE_SYSTEMS = ["You are a pirate.", "Talk like a pirate.", "You are a pirate captain.", "Answer like a pirate."]
