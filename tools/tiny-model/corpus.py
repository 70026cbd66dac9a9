"""The training text: dialogues and plain documents, made by the project and always the same for the same seed.

Run it to look at a sample: `python corpus.py 5`.
"""

import sys
from random import Random

from offtopic import made_up_word, off_topic
from phrases import (
    AFTER,
    ASK_AGAIN,
    ASK_CRASH,
    ASK_LONG,
    ASK_LONG_STORY,
    ASK_MORE,
    ASK_SHORT,
    ASK_STORY,
    ASK_STORY_ABOUT,
    BEFORE,
    NOTHING_MORE,
    WHAT_IS,
)
from smalltalk import SMALL_TALK
from stories import FLOWERS, HELPERS, NAMES, story
from system_messages import system_message
from topic import Topic
from topics_how import BEES, HOW
from topics_more import MORE
from topics_words import WORDS

TOPICS = WORDS + MORE + HOW + BEES
# The subjects that can crash, and those that tell what happens then.
_CRASHING = {
    name: next(how for how in HOW if f"What happens when {the} crashes?" in how.questions)
    for name, the in (("a hive", "a hive"), ("a queen", "the queen"), ("a worker", "a worker"))
}

# A document is a list of (role, text); the role "text" stands alone and is plain text.
Document = list[tuple[str, str]]


def answer(rng: Random, subject: Topic, length: str = "") -> str:
    """An opening and some further sentences in their order: none when short, all when long."""
    count = {"short": 0, "long": len(subject.details)}.get(length, rng.randint(1, min(3, len(subject.details))))
    chosen = sorted(rng.sample(range(len(subject.details)), count))
    return " ".join([rng.choice(subject.openings)] + [subject.details[index] for index in chosen])


def _worn(rng: Random, text: str) -> str:
    """The same question as people really type it: lower case, no question mark, a slip of the finger, and the like."""
    if rng.random() < 0.15:
        text = rng.choice(BEFORE) + text[0].lower() + text[1:] if text[0] != "I" else text
    if rng.random() < 0.12:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.05:
        text = text.lower()
    if rng.random() < 0.12:
        text = text.rstrip("?.!")
    if rng.random() < 0.06 and len(text) > 8 and "{" not in text:
        at = rng.randrange(1, len(text) - 2)
        text = (
            text[:at]
            + rng.choice((text[at + 1], text[at + 1] + text[at], text[at] * 2 + text[at + 1]))
            + text[at + 2 :]
        )
    return text


def question_and_answer(rng: Random) -> tuple[str, str, Topic]:
    """One question about queen & hive or bees, with an answer as long as it asks for, and the subject."""
    subject = rng.choice(rng.choices((WORDS, MORE, HOW, BEES), (10, 6, 12, 2))[0])
    if subject.names and rng.random() < 0.65:
        name = subject.names[0] if rng.random() < 0.5 else rng.choice(subject.names)
        question = rng.choice(WHAT_IS).format(x=name)
        question = question[0].upper() + question[1:]
    else:
        question = rng.choice(subject.questions)
    question = _worn(rng, question)
    roll = rng.random()
    if roll < 0.07:
        return question + rng.choice(ASK_SHORT), answer(rng, subject, "short"), subject
    if roll < 0.14:
        return question + rng.choice(ASK_LONG), answer(rng, subject, "long"), subject
    return question + (rng.choice(AFTER) if roll < 0.2 else ""), answer(rng, subject), subject


def ask_for_story(rng: Random) -> tuple[str, str]:
    """A wish for a story: any, a long one, or one about a named bee, a flower or an animal.

    What was wished for is said first, so that the model has it before its eyes while it tells the story.
    """
    roll = rng.random()
    if roll < 0.4:
        return _worn(rng, rng.choice(ASK_STORY)), story(rng)
    if roll < 0.65:
        return _worn(rng, rng.choice(ASK_LONG_STORY)), "Here is a long story.\n\n" + story(
            rng, adventures=rng.randint(3, 4)
        )
    form = rng.choice(ASK_STORY_ABOUT)
    if roll < 0.85:
        name = rng.choice(NAMES) if rng.random() < 0.5 else made_up_word(rng).capitalize()
        subject, text = f"{rng.choice(('a bee named', 'a bee called'))} {name}", story(rng, name=name)
        return form.format(x=subject), f"Here is a story about {name}.\n\n{text}"
    if roll < 0.93:
        flower = rng.choice(FLOWERS)
        return form.format(x=flower), f"Here is a story about {flower}.\n\n{story(rng, flower=flower)}"
    helper = rng.choice(sorted(HELPERS))
    return form.format(x=helper), f"Here is a story about {helper}.\n\n{story(rng, helper=helper)}"


def small_talk(rng: Random) -> tuple[str, str]:
    """A greeting or the like; a name that is given comes back in the answer."""
    prompts, answers = rng.choice(SMALL_TALK)
    name = rng.choice(NAMES) if rng.random() < 0.5 else made_up_word(rng).capitalize()
    prompt, reply = rng.choice(prompts), rng.choice(answers)
    return _worn(rng, prompt).replace("{name}", name), reply.replace("{name}", name)


def _follow_up(rng: Random, subject: Topic | None, said: str) -> tuple[str, str]:
    """A turn that makes sense only after the one before: more of it, or what happens when "it" crashes."""
    if subject is None:
        return _worn(rng, rng.choice(ASK_AGAIN)), story(rng)
    crash = _CRASHING.get(subject.names[0]) if subject.names else None
    if crash and rng.random() < 0.5:
        return _worn(rng, rng.choice(ASK_CRASH)), answer(rng, crash)
    unsaid = [sentence for sentence in subject.details if sentence not in said]
    return _worn(rng, rng.choice(ASK_MORE)), " ".join(unsaid) if unsaid else rng.choice(NOTHING_MORE)


def dialogue(rng: Random) -> Document:
    """A chat of one to three turns, now and then of many more, sometimes with a system message."""
    turns = rng.choices((1, 2, 3, 8), (52, 30, 15, 3))[0]
    messages = [("system", system_message(rng))] if rng.random() < 0.5 else []
    kind, subject, said = "", None, ""
    for _ in range(turns):
        if kind in ("topic", "story") and rng.random() < 0.3:
            prompt, reply = _follow_up(rng, subject, said)
            said += reply
        else:
            kind, subject = rng.choices(("topic", "talk", "story", "off"), (50, 24, 11, 15))[0], None
            if kind == "topic":
                prompt, reply, subject = question_and_answer(rng)
            elif kind == "off":
                prompt, reply = off_topic(rng)
                prompt = _worn(rng, prompt)
            else:
                prompt, reply = small_talk(rng) if kind == "talk" else ask_for_story(rng)
            said = reply
        messages += [("user", prompt), ("assistant", reply)]
    return messages


def plain_text(rng: Random) -> Document:
    """A story, or a page about a few subjects, without any roles."""
    if rng.random() < 0.6:
        return [("text", story(rng, adventures=rng.choice((1, 1, 1, 2, 3))))]
    subjects = rng.sample(TOPICS, rng.randint(1, 4))
    return [("text", "\n\n".join(answer(rng, subject, rng.choice(("", "long"))) for subject in subjects))]


def document(rng: Random) -> Document:
    """One document of the corpus."""
    return plain_text(rng) if rng.random() < 0.1 else dialogue(rng)


def corpus(seed: int, count: int) -> list[Document]:
    """The first `count` documents of a seed."""
    rng = Random(seed)
    return [document(rng) for _ in range(count)]


if __name__ == "__main__":
    for messages in corpus(seed=1, count=int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        for role, text in messages:
            print(f"[{role}] {text}")
        print("-" * 40)
