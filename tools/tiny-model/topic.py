"""The shape of a subject: questions, opening sentences and further sentences.

Every sentence stands on its own, so that an answer is one opening and any further sentences in order.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One subject: `names` fill "What is {name}?", `questions` are whole; an answer is an opening and details."""

    names: tuple[str, ...]
    questions: tuple[str, ...]
    openings: tuple[str, ...]
    details: tuple[str, ...]


def topic(names: str, questions: str, openings: str, details: str) -> Topic:
    """Build a topic from texts: names split at commas, everything else at line ends."""

    def lines(text: str) -> tuple[str, ...]:
        return tuple(line.strip() for line in text.strip().splitlines() if line.strip())

    return Topic(
        tuple(n.strip() for n in names.split(",") if n.strip()), lines(questions), lines(openings), lines(details)
    )
