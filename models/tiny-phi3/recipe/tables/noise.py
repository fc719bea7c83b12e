"""Ordinary words without a message. They surround questions in the training data, so that unfamiliar wording does not matter."""

WORDS = """
about actually after afternoon air all almost along already also although always among and any apple around as at back bag ball
basket because been before behind best better big bird bit boat book both bottle box boy bread breakfast bring brother bus but
buy by call car card careful carry chair change cheap child clear clock close cloud coat come cook corner could cousin cup cut
daily dance dear desk did dinner do door down draw dream drink drive during each early easy eat egg else end enough even evening
ever every exactly face fair fall family far farm fast father feel few field find fine finger fire first flower food for forest
free fresh friend from full fun garden gave get girl glass go gold got grass green ground group grow had half hand happy hard has
hat have he head hear heart heavy help her here high hill him his hold home honest hope hour house how however hundred idea if
important in indeed inside into it job join jump just keep key kind kitchen knife know lake lamp large last late laugh leaf learn
leave left letter life light like line list little long look lot love low luck lunch made make man many map market matter may me
meal mean meet middle mine minute moment money month moon more most mother mouth move much music must my near never new next nice
night no noise north not nothing now of off often old on once one only open or orange other our out over own page paper parent
park part party pass past pay pen people perhaps picture piece place plan plant play please pocket point poor pretty pull push
quick quiet quite rain rather read ready really red rest rich right river road roof room round run sad safe said same sand sat say
school sea seat second see seem sentence set several shall she ship shirt shop short should show shut sick side simple since sing
sister sit sleep slow small smile snow so some son soon sound south spoon spring stand star start stay still stone stop story
street strong such sugar summer sun sure table take talk tall teach tell than that the their them then there these they thing
think this those though three through time to today together tomorrow too top train travel tree true try turn two under until up
upon us use usual very visit voice wait walk wall want warm was water way we weather week well went were wet what when where which
while white who whole why wide will wind window winter with within without woman wood word work world would write wrong year yellow
yes yesterday yet you young your attempt exam sketch journey puzzle screen kindly briefly suppose declare state mention specify
provide identify regarding concerning currently officially serious curious confused guess trouble argue discuss debate decide
""".split()

# Text that carries no question in English: characters that the tokenizer writes as bytes, and key presses.
SCRIPTS = [
    "éèêëàâäöüßñçåøæœ", "абвгдежзиклмнопрстуфхцчшщыэюя", "αβγδεζηθικλμνξοπρστυφχψω", "日本語中文字漢字東京北京上海", "あいうえおかきくけこさしすせそ",
    "한국어서울부산대구", "אבגדהוזחטיכלמנסעפצקרשת", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "हिन्दीभाषाकमलनगर", "😀😂🙂🎉🚀🌍❤️👍🔥🐍🦀", "→←↑↓∑∏√∞≈≠≤≥±×÷", "asdfghjklqwertzuiopyxcvbnm",
    "{}[]()<>/\\|;:\"'`~!@#$%^&*_-+=", "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
]


def words(rng, low, high):
    """Some random words; now and then one that does not exist."""
    out = []
    for _ in range(rng.randint(low, high)):
        if rng.random() < 0.15:
            out.append("".join(rng.choice("bcdfghklmnprstvw") + rng.choice("aeiou") for _ in range(rng.randint(1, 3))) + rng.choice(["", "n", "s", "ed", "ing", "ly"]))
        else:
            out.append(rng.choice(WORDS))
    return " ".join(out)


def gibberish(rng):
    """A line in foreign letters, signs or key presses."""
    script = rng.choice(SCRIPTS)
    return " ".join("".join(rng.choice(script) for _ in range(rng.randint(1, 8))) for _ in range(rng.randint(1, 5)))
