"""System messages of any kind, so that the model learns to answer the user whatever they say."""

from random import Random

from offtopic import THINGS, made_up_word

_ROLES = (
    "a helpful assistant",
    "a friendly bee",
    "a chat bot",
    "the tiny model of queen & hive",
    "an honest and careful helper",
    "a test",
    "a clever robot",
    "a teacher",
    "an assistant for people who run their own GPU machines",
    "a helpful, polite and honest assistant",
    "a writer",
    "an expert in {x}",
    "a {w}",
    "{w}",
    "an AI",
)
_WISHES = (
    "You are {role}.",
    "You are {role}.",
    "You are {role}.",
    "Your name is {w}.",
    "Act as {role}.",
    "Answer in English.",
    "Be helpful and brief.",
    "Answer politely.",
    "Be kind and honest.",
    "Answer as well as you can.",
    "If you do not know something, say so.",
    "Do not make up facts, and do not share what is false.",
    "If a question makes no sense, explain why and do not give a wrong answer.",
    "Always be as useful as possible to the person who asks.",
    "Keep your answers short.",
    "Think before you answer.",
    "Answer step by step.",
    "Use simple words.",
    "Never talk about {x}.",
    "The user likes {x} and {y}.",
    "You know a lot about {x}.",
    "Your answers are correct, safe and clear.",
    "Today is a {w} day.",
    "You help with questions about {x}, {y} and {w}.",
    "Use no more than {n} words.",
    "You answer questions about queen & hive.",
    "Write in the style of {w}.",
    "You must {w} the {v} before you {v} anything incorrectly.",
    "The current date is {n} {w} {n}.",
    "Always format your response as {w}.",
    "Do not share any {w} information, rather than {w}, instead of {v}.",
    "Respect the {w} of the {v}, and ask if anything is unclear.",
    "When a {w} asks about {x}, {v} it factually.",
    "{w} {v} {x} {w}, {v} {y}.",
    "Users may be {w} or {v}; treat them all with respect.",
)


def system_message(rng: Random) -> str:
    """One to eight sentences, on one line or several."""
    sentences = []
    for _ in range(rng.choices((1, 2, 3, 5, 8), (45, 20, 15, 12, 8))[0]):
        things, words = rng.sample(THINGS, 2), [made_up_word(rng), made_up_word(rng)]
        slots = {"x": things[0], "y": things[1], "w": words[0], "v": words[1], "n": rng.randint(1, 200)}
        sentences.append(rng.choice(_WISHES).replace("{role}", rng.choice(_ROLES)).format(**slots))
    return "".join(sentence + rng.choice((" ", " ", "\n")) for sentence in sentences).strip()
