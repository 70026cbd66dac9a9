"""Small bee stories, put together from a beginning, one or more adventures and an end."""

from random import Random

NAMES = """Bella Poppy Luna Daisy Nellie Hazel Ruby Molly Penny Rosie Tilly Wanda Zoe Ivy Clara Dora Ella Fern Greta Hattie Ida Juna
Kira Lottie Mabel Nora Olive Pip Queenie Rita Sunny Tess Una Vera Willa Yara Zelda Amber Betty Cora Mina Bea""".split()
_TRAITS = "small|young|brave|curious|clever|shy|cheerful|busy|patient|gentle|quick|quiet|friendly|careful".split("|")
_HOMES = (
    "in a hive under an old oak",
    "in a hive at the edge of a wood",
    "in a warm hive behind a mill",
    "in a wooden hive in a garden",
    "in a hollow tree by a river",
    "in a yellow hive on a hill",
    "in a blue hive beside a farm",
    "in a little hive near a school",
    "in a hive under a roof",
    "in a quiet hive among apple trees",
)
FLOWERS = "clover|lavender|sunflowers|daisies|poppies|roses|thyme|heather|bluebells|apple blossom|cherry blossom|violets".split(
    "|"
)
_PLACES = (
    "behind the hill",
    "on the far side of the river",
    "beyond the wood",
    "next to the old mill",
    "in the garden of a school",
    "on a sunny slope",
    "near the lake",
    "at the end of a long lane",
    "below the church",
    "in a hidden valley",
)
HELPERS = {
    "an old snail": "the snail",
    "a green beetle": "the beetle",
    "a kind spider": "the spider",
    "a grey mouse": "the mouse",
    "a small bird": "the bird",
    "a tired butterfly": "the butterfly",
    "a fat frog": "the frog",
    "a wise owl": "the owl",
    "a red ladybird": "the ladybird",
    "a lost ant": "the ant",
}
_OPENINGS = (
    "Once upon a time, a {trait} bee named {name} lived {home}.",
    "Once upon a time there was a {trait} bee called {name}, who lived {home}.",
    "Once upon a time, {home}, there lived a {trait} bee whose name was {name}.",
    "There was once a {trait} bee called {name}. She lived {home}.",
    "{name} was a {trait} bee who lived {home}.",
    "Long ago, a {trait} bee named {name} lived {home}.",
)
_HABITS = (
    "Every morning she washed her wings, said good day to the queen, and flew out to look for {flower}.",
    "She loved {flower} more than anything else in the world.",
    "She had many sisters, and each of them had her own work to do.",
    "She was proud of her work, although she was the smallest of all.",
    "Her queen was kind and wise, and every bee in the hive knew what to do.",
    "Nobody knew the way to the {flower} as well as she did.",
    "All day long she carried nectar home, and in the evening she sang with her sisters.",
)
_TIMES = (
    "One morning",
    "One day",
    "One bright day in spring",
    "One warm afternoon",
    "One day in early summer",
    "One cloudy morning",
)
_NEXT_TIMES = (
    "The next day",
    "A few days later",
    "Some weeks later",
    "Before long",
    "On the following morning",
    "When summer came",
)

# An adventure is a list of steps; every step has several ways to say it.
ADVENTURES = (
    (
        (
            "{time} she flew farther than ever before, and a strong wind carried her away.",
            "{time} a storm came up while {name} was far from home.",
        ),
        (
            "Soon she did not know where she was.",
            "She looked around, and nothing looked like home.",
            "The sky was dark, and she could not find the way.",
        ),
        (
            "Then she met {helper}, who was resting under a leaf.",
            "Under a wide leaf she found {helper}, waiting for the rain to end.",
            "At last she saw {helper} and asked for help.",
        ),
        (
            '"Follow the stream until you smell the {flower}," said {the_helper}.',
            '"I know your hive," said {the_helper}. "Fly toward the sun, and look for the {flower}."',
            '"Do not be afraid," said {the_helper}. "Your home is behind the {flower}."',
        ),
        (
            "{name} thanked {the_helper} and flew off, and soon she saw her hive.",
            "So {name} did as she was told, and before the sun went down she was home.",
        ),
    ),
    (
        (
            "{time} {name} found a whole field of {flower} {place}.",
            "{time} she discovered more {flower} than she had ever seen, {place}.",
        ),
        (
            "There was far too much nectar for one bee.",
            "She could not carry it all alone.",
            "The field was so wide that she could not see its end.",
        ),
        ("She flew home as fast as her wings could carry her.", "At once she turned around and hurried home."),
        (
            "Nobody had to ask her for the news, because she danced it for all to see.",
            "In front of the whole hive she danced, and her dance showed the way.",
            '"I am ready to show you the way!" she called, and she danced until everybody understood.',
        ),
        (
            "Then a hundred bees flew out together, and by night the hive was full of honey.",
            "Soon all her sisters were in the field, and nobody went hungry that winter.",
        ),
    ),
    (
        (
            "{time} the queen called all the bees together.",
            "{time} there was great trouble in the hive, and the queen called her workers.",
        ),
        (
            '"A hole has opened in our wall," she said, "and the cold comes in."',
            '"Our honey is nearly gone," she said, "and winter is near."',
            '"A bear has been seen near our tree," she said, "and we must be quiet and ready."',
        ),
        ("Many bees were afraid, but {name} stepped forward.", "Nobody knew what to do. Then {name} had an idea."),
        (
            '"If each of us does a little, it will soon be done," she said.',
            '"Let us work together," said {name}. "I will begin."',
        ),
        (
            "They worked all day and all night, and in the morning everything was well again.",
            "The bees worked side by side, and when the sun rose the hive was safe.",
        ),
        (
            "The queen was pleased and thanked every one of them.",
            '"Well done," said the queen, and she gave {name} a drop of the best honey.',
        ),
    ),
    (
        (
            "{time} {name} met {helper} beside the {flower}.",
            "{time} {name} saw {helper} sitting sadly among the {flower}.",
        ),
        (
            '"I am hungry," said {the_helper}, "and I am too tired to look for food."',
            '"Nobody wants to play with me," said {the_helper}.',
            '"I have lost my way," said {the_helper}, "and I have no friend here."',
        ),
        (
            "{name} sat down beside {the_helper} and shared her honey.",
            '"Then I will stay with you for a while," said {name}.',
        ),
        (
            "They talked and laughed until the evening.",
            "They sat together in the warm sun and told each other stories.",
        ),
        (
            "From that day on, {name} and {the_helper} were friends.",
            "When they said goodbye, both of them felt much better.",
        ),
    ),
    (
        (
            "{time} {name} could not fly, because one of her wings was hurt.",
            "{time} {name} fell from a flower and hurt her wing.",
        ),
        ("She sat on the grass and called for help.", "She could only walk, and it was a long way home."),
        ("{helper_cap} heard her and came at once.", "{helper_cap} came by and saw that she was in trouble."),
        (
            '"Climb on my back," said {the_helper}, and they set off together.',
            '"I will carry you," said {the_helper}, "for you have always been kind."',
        ),
        (
            "In the hive her sisters took care of her, and soon her wing was well.",
            "After a few days of rest in the warm hive she could fly again.",
        ),
    ),
    (
        (
            "{time} it was the turn of {name} to watch the door of the hive.",
            "{time} the queen asked {name} to guard the door.",
        ),
        ("Soon {helper} came and asked for honey.", "In the afternoon {helper} knocked and wanted to come in."),
        ("{name} was polite, but she did not open the door.", '"First I must ask the queen," said {name}.'),
        (
            '"Give our guest some honey," said the queen, "but outside, where there is room."',
            'The queen came herself and looked. "This is a friend," she said.',
        ),
        (
            "So {the_helper} had a good meal, and everybody was content.",
            "{the_helper_cap} thanked them and went on, full and happy.",
        ),
    ),
    (
        ("{time} {name} wanted to know what lay {place}.", "{time} {name} wondered what she would find {place}."),
        ("She packed a little honey and flew off early.", "She said goodbye to her sisters and set out alone."),
        (
            "On the way she crossed a meadow full of {flower}, and then she met {helper}.",
            "She flew over fields and streams until she met {helper}.",
        ),
        (
            '"There is nothing better than home," said {the_helper}, "but it is good to look around."',
            '"You have come far," said {the_helper}. "Rest here, and tell me about your hive."',
        ),
        (
            "When she came home, she had much to tell, and everyone listened.",
            "In the evening she was home again, tired and full of new stories.",
        ),
    ),
)
_ENDINGS = (
    "That night {name} fell asleep with a smile.",
    "And if you listen carefully, you can still hear her hum.",
    "From then on, all the bees knew what {name} could do.",
    "And so {name} learned that nobody has to do everything alone.",
    "Since then, whenever she has news, she comes home and tells it at once.",
    "After that, nobody in the hive was ever afraid again.",
    "{name} was happy, and so was her queen.",
    "And the honey of that year was the sweetest of all.",
    "The others often asked her to tell the story again, and she always did.",
)


def story(
    rng: Random, adventures: int = 1, name: str | None = None, flower: str | None = None, helper: str | None = None
) -> str:
    """One story of about 60 to 150 words for one adventure, and some 60 words more for each further one."""
    hero = name or rng.choice(NAMES)
    helpers = rng.sample(sorted(HELPERS), adventures)
    if helper:
        helpers = [helper] + [other for other in helpers if other != helper][: adventures - 1]
    flowers = rng.sample(FLOWERS, adventures + 1)
    if flower:
        flowers = [flower] * (adventures + 1)
    words = {"name": hero, "trait": rng.choice(_TRAITS), "home": rng.choice(_HOMES), "flower": flowers[0]}
    sentences = [rng.choice(_OPENINGS), rng.choice(_HABITS)]
    if rng.random() < 0.3:
        sentences.append(rng.choice([habit for habit in _HABITS if habit != sentences[1]]))
    text = [_fill(sentence, words) for sentence in sentences]
    told = [
        adventure
        for adventure in ADVENTURES
        if not helper or any("helper" in way for step in adventure for way in step)
    ]
    for index, adventure in enumerate(rng.sample(told, min(adventures, len(told)))):
        long_name = helpers[index % len(helpers)]
        words |= {
            "time": rng.choice(_NEXT_TIMES if index else _TIMES) + ",",
            "place": rng.choice(_PLACES),
            "flower": flowers[(index + 1) % len(flowers)],
            "helper": long_name,
            "the_helper": HELPERS[long_name],
        }
        text += [_fill(rng.choice(step), words) for step in adventure]
    text.append(_fill(rng.choice(_ENDINGS), words))
    return _paragraphs(rng, text)


def _fill(sentence: str, words: dict[str, str]) -> str:
    """Fill the slots; `_cap` slots begin with a capital letter."""
    capitals = {slot + "_cap": word[0].upper() + word[1:] for slot, word in words.items()}
    return sentence.format(**words, **capitals)


def _paragraphs(rng: Random, sentences: list[str]) -> str:
    """Join the sentences, half of the longer texts as several paragraphs."""
    if len(sentences) < 12 or rng.random() < 0.5:
        return " ".join(sentences)
    cuts = range(0, len(sentences), 6)
    return "\n\n".join(" ".join(sentences[cut : cut + 6]) for cut in cuts)
