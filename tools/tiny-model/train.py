"""Train the model on the project's own text: `python train.py` (see README.md). The same seed gives the same model."""

import argparse
import pickle
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from corpus import corpus
from model import Parameters, Shape, initial_parameters, loss
from optimizer import initial_state, update
from tokenizer import VOCABULARY, Tokenizer, train_tokenizer

BUILD = Path(__file__).parent / "build"
TOKENS_PER_STEP = 4096
# The last part of the training uses long windows, so that the model stays sane up to its whole context.
SHORT_WINDOW, LONG_WINDOW, LONG_SHARE = 384, 1024, 0.1
MUON_RATE, ADAM_RATE = 0.02, 0.004
WARM_UP_STEPS = 40
DOCUMENTS_FOR_TOKENIZER = 20_000


def pack(documents: list[tuple[list[int], list[float]]], window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill rows of `window` + 1 tokens with whole documents: tokens, segment numbers (0: padding), weights.

    A document goes into the first of the last 20 rows that has room; one longer than a row is cut.
    """
    rows: list[list[tuple[list[int], list[float]]]] = []
    room: list[int] = []
    for ids, weights in documents:
        ids, weights = ids[: window + 1], weights[: window + 1]
        place = next((i for i in range(max(0, len(rows) - 20), len(rows)) if room[i] >= len(ids)), None)
        if place is None:
            place = len(rows)
            rows.append([])
            room.append(window + 1)
        rows[place].append((ids, weights))
        room[place] -= len(ids)
    tokens = np.zeros((len(rows), window + 1), np.int32)
    segments = np.zeros_like(tokens)
    matter = np.zeros(tokens.shape, np.float32)
    for index, row in enumerate(rows):
        at = 0
        for number, (ids, weights) in enumerate(row, start=1):
            end = at + len(ids)
            tokens[index, at:end], segments[index, at:end], matter[index, at:end] = ids, number, weights
            at = end
    return tokens, segments, matter


def rate(step: int, steps: int) -> float:
    """A short warm-up, a plateau, then a straight line down over the last 60 %."""
    return min(1.0, step / WARM_UP_STEPS, 0.02 + (steps - step) / (0.6 * steps))


@partial(jax.jit, static_argnums=(6,), donate_argnums=(0, 1))
def train_step(parameters: Parameters, state, batch, step, muon_rate, adam_rate, shape: Shape):
    """One step of the optimizer on a batch of (tokens, segments, weights)."""
    value, gradients = jax.value_and_grad(loss)(parameters, *batch, shape)
    parameters, state = update(parameters, gradients, state, step, muon_rate, adam_rate)
    return parameters, state, value


def batches(tokenizer: Tokenizer, seed: int, window: int):
    """Endless batches of fresh text."""
    rows = TOKENS_PER_STEP // window
    while True:
        packed = pack([tokenizer.encode_document(messages) for messages in corpus(seed, 4000)], window)
        order = np.random.default_rng(seed).permutation(len(packed[0]))
        for at in range(0, len(order) - rows + 1, rows):
            yield tuple(jnp.asarray(part[order[at : at + rows]]) for part in packed)
        seed += 1


def save(path: Path, parameters: Parameters, shape: Shape) -> None:
    """Write the weights as plain arrays together with the shape."""
    path.write_bytes(pickle.dumps({"shape": shape, "parameters": jax.tree.map(np.asarray, parameters)}))


def main() -> None:
    """Make the tokenizer and train; the loss log goes to build/loss.log and to the screen."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=1100)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--build", type=Path, default=BUILD)
    arguments.add_argument("--resume", action="store_true", help="go on from build/checkpoint.pickle and its tokenizer")
    arguments.add_argument("--rate", type=float, default=1.0, help="a factor for both learning rates")
    options = arguments.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)

    if not options.resume:
        train_tokenizer(corpus(options.seed, DOCUMENTS_FOR_TOKENIZER), options.build / "tokenizer.model")
    tokenizer = Tokenizer.load(options.build / "tokenizer.model")
    shape = Shape(vocabulary=VOCABULARY)
    parameters = initial_parameters(shape, options.seed)
    if options.resume:
        parameters = jax.tree.map(
            jnp.asarray, pickle.loads((options.build / "checkpoint.pickle").read_bytes())["parameters"]
        )
    state = initial_state(parameters)
    print(f"{sum(weight.size for weight in parameters.values()):,} parameters", flush=True)

    long_from = round(options.steps * (1 - LONG_SHARE))
    held_out = next(batches(tokenizer, 900_000, LONG_WINDOW))
    source = batches(tokenizer, 1000 * (options.seed + 1), SHORT_WINDOW)
    started = time.monotonic()
    with (options.build / "loss.log").open("a" if options.resume else "w") as log:
        for step in range(1, options.steps + 1):
            if step == long_from:
                source = batches(tokenizer, 1000 * (options.seed + 1) + 500, LONG_WINDOW)
            share = options.rate * rate(step, options.steps)
            parameters, state, value = train_step(
                parameters, state, next(source), step, MUON_RATE * share, ADAM_RATE * share, shape
            )
            if step % 50 == 0 or step == options.steps:
                line = f"step {step} loss {value:.3f} seconds {time.monotonic() - started:.0f}"
                print(line, flush=True)
                log.write(line + "\n")
            if step % 250 == 0:
                save(options.build / "checkpoint.pickle", parameters, shape)
        log.write(f"held out {loss(parameters, *held_out, shape):.3f}\n")
    save(options.build / "checkpoint.pickle", parameters, shape)


if __name__ == "__main__":
    main()
