"""Questions about everything else, and graceful ways to say that the model does not know."""

from random import Random

_THINGS = """France Germany Spain Italy Japan China India Brazil Canada Mexico Egypt Kenya Norway Sweden Poland Greece Turkey Peru Chile
London Paris Berlin Rome Madrid Tokyo Moscow Sydney Boston Texas California Europe Africa Asia America Australia England Ireland
the moon|the sun|the sea|the weather|the stock market|the president|the war|the earth|the universe|a black hole|gravity|physics|chemistry|history
mathematics|music|football|tennis|chess|cooking|pizza|bread|coffee|tea|chocolate|a car|a train|a plane|a ship|a house|a dog|a cat|a horse|a lion
an elephant|a whale|a snake|a computer|a phone|a robot|the internet|Python|Java|Rust|JavaScript|C++|SQL|Linux|Windows|a compiler|a database|HTML
Shakespeare|Einstein|Newton|Mozart|Napoleon|Caesar|Plato|Bach|Picasso|Darwin|money|time|the brain|the heart|blood|cancer|sleep|dreams|a doctor
a lawyer|taxes|a mortgage|school|a university|English|French|German|Spanish|Latin|Chinese|a prime number|pi|an atom|a star|a planet|a volcano
a river|a mountain|the weather in London|the speed of light|World War II|machine learning|quantum mechanics|a transformer|a blockchain|bitcoin"""
THINGS = tuple(thing for line in _THINGS.splitlines() for thing in (line.split("|") if "|" in line else line.split()))

_FORMS = (
    "What is the capital of {x}?",
    "What is the capital of {x}?",
    "Where is {x}?",
    "How big is {x}?",
    "How old is {x}?",
    "What is {x}?",
    "What's {x}?",
    "Who is {x}?",
    "Who was {x}?",
    "When was {x} made?",
    "Why is {x} so important?",
    "How does {x} work?",
    "Tell me about {x}.",
    "Explain {x}.",
    "Explain {x} to a child.",
    "Can you explain {x}?",
    "What do you think of {x}?",
    "Do you like {x}?",
    "How far is it to {x}?",
    "What is the population of {x}?",
    "Who invented {x}?",
    "How much does {x} cost?",
    "Write an essay about {x}.",
    "Write an email about {x}.",
    "Give me five facts about {x}.",
    "What is the history of {x}?",
    "Translate {x} into {y}.",
    "Compare {x} and {y}.",
    "How is {x} different from {y}?",
    "What color is {x}?",
    "What is the best thing about {x}?",
    "How do I get to {x}?",
    "How do I learn {x}?",
    "Is {x} better than {y}?",
    "Which is bigger, {x} or {y}?",
    "What is the weather like in {x}?",
    "Who is the president of {x}?",
    "How many people live in {x}?",
    "Write a program in {x}.",
    "Write code for {x}.",
    "Show me a picture of {x}.",
    "Who won the game in {x}?",
    "What is the plural of {x}?",
    "What is the largest city in {x}?",
    "Name three things about {x}.",
    "Recommend a book about {x}.",
    "Summarize {x}.",
    "I have a question about {x}.",
    "Write a {x} function that sorts a list.",
    "Write a function in {x}.",
    "How do I cook {x}?",
    "Can you help me with {x}?",
    "Fix my {x}.",
    "Why do people like {x}?",
    "How can I make {x} at home?",
    "When did {x} begin?",
    "Who wrote {x}?",
    "Where can I buy {x}?",
    "What should I know about {x}?",
    "My problem is {x}.",
    "I want to talk about {x}.",
    "Please write a recipe for {x}.",
    "How do you spell {x}?",
    "Give me advice about {x}.",
)
_SUMS = (
    "What is {a} + {b}?",
    "What is {a} plus {b}?",
    "What is {a} times {b}?",
    "{a} + {b}",
    "{a}*{b}=?",
    "Calculate {a} - {b}.",
    "How much is {a} times {b}?",
    "What is {a} divided by {b}?",
    "Solve x + {a} = {b}.",
    "What is the square root of {a}?",
    "Is {a} a prime number?",
    "Which is larger, {a} or {b}?",
)
_NOISE = (
    "asdf",
    "???",
    "...",
    "foo",
    "foo bar",
    "blah",
    "lorem ipsum",
    "qwerty",
    "abc",
    "123",
    "x",
    "!",
    "hmm",
    "aaaa",
    "{w}",
    "{w} {v}",
    "{w} {v}?",
    "What is {w}?",
    "Who is {w}?",
    "Tell me about {w}.",
    "How do I {w} a {v}?",
    "Why is {w} {v}?",
    "Where can I find {w}?",
    "Is {w} a {v}?",
    "What does {w} mean?",
)

NOT_KNOWN = (
    "I am sorry, I do not know that. I am a very small model, and I only know about queen & hive and a little about bees.",
    "That is beyond me, I am afraid. I only know about queens, hives, workers and bees. Try asking me what a hive is.",
    "I do not know, for I am only a tiny model. Ask me about queen & hive, or ask me for a bee story.",
    "I am too small to know that. A bigger model can tell you, and your queen will gladly find one a place.",
)
NO_SUMS = (
    "I am not good at sums. I am a very small model, and I only know about queen & hive and a little about bees.",
    "I am sorry, I cannot calculate. I am a tiny model. Ask me what a worker is, or ask me for a bee story.",
)
_SYLLABLES = """ba be bi bo da de di fa fi ga gu ka ke ko la le li lo ma me mi mo na ne no
pa pe po ra re ri ro sa se si so ta te ti to va ve wo xa zu tion ing er st""".split()


def made_up_word(rng: Random) -> str:
    """A word that nobody knows, of two to four syllables."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))


def off_topic(rng: Random) -> tuple[str, str]:
    """A question that the model cannot answer, and its answer."""
    kind = rng.random()
    if kind < 0.12:
        form = rng.choice(_SUMS)
        return form.format(a=rng.randint(1, 120), b=rng.randint(1, 120)), rng.choice(NO_SUMS)
    if kind < 0.35:
        word, other = made_up_word(rng), made_up_word(rng)
        return rng.choice(_NOISE).format(w=rng.choice((word, word.capitalize())), v=other), rng.choice(NOT_KNOWN)
    things = [made_up_word(rng).capitalize() if rng.random() < 0.2 else rng.choice(THINGS) for _ in range(2)]
    return rng.choice(_FORMS).format(x=things[0], y=things[1]), rng.choice(NOT_KNOWN)
