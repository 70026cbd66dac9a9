"""A standard Llama in JAX: RMSNorm, rotary positions, SwiGLU, no biases, input and output embedding shared.

The rotation pairs neighbouring numbers of a head, as llama.cpp's `llama` architecture does, so the export permutes nothing.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

Parameters = dict[str, jax.Array]


@dataclass(frozen=True)
class Shape:
    """The sizes of the model. `width` and `hidden` are multiples of 32, as Q8_0 wants."""

    vocabulary: int = 1536
    width: int = 160
    layers: int = 5
    heads: int = 5
    hidden: int = 448
    context: int = 1024
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5


def initial_parameters(shape: Shape, seed: int) -> Parameters:
    """Random weights. Matrices of all layers are stacked: (layers, in, out)."""
    keys = iter(jax.random.split(jax.random.key(seed), 8))
    width, hidden, layers = shape.width, shape.hidden, shape.layers

    def matrix(inputs: int, outputs: int, gain: float = 1.0) -> jax.Array:
        return jax.random.normal(next(keys), (layers, inputs, outputs)) * gain * inputs**-0.5

    small = (2 * layers) ** -0.5
    return {
        "embedding": jax.random.normal(next(keys), (shape.vocabulary, width)) * 0.02,
        "query": matrix(width, width),
        "key": matrix(width, width),
        "value": matrix(width, width),
        "attention_out": matrix(width, width, small),
        "gate": matrix(width, hidden),
        "up": matrix(width, hidden),
        "down": matrix(hidden, width, small),
        "attention_norm": jnp.ones((layers, width)),
        "hidden_norm": jnp.ones((layers, width)),
        "final_norm": jnp.ones(width),
    }


def _norm(x: jax.Array, weight: jax.Array, epsilon: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def _rotate(x: jax.Array, cosine: jax.Array, sine: jax.Array) -> jax.Array:
    """Rotate neighbouring pairs of (batch, time, heads, size) by angles of (time, size / 2)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cosine, sine = cosine[:, None, :], sine[:, None, :]
    return jnp.stack((even * cosine - odd * sine, even * sine + odd * cosine), axis=-1).reshape(x.shape)


def logits(parameters: Parameters, tokens: jax.Array, segments: jax.Array, shape: Shape) -> jax.Array:
    """Scores of the next token for (batch, time) tokens; a token sees only earlier ones of its own segment (document)."""
    batch, time = tokens.shape
    size = shape.width // shape.heads
    frequencies = shape.rope_base ** (-jnp.arange(0, size, 2) / size)
    angles = jnp.arange(time)[:, None] * frequencies[None, :]
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    seen = (segments[:, :, None] == segments[:, None, :]) & jnp.tril(jnp.ones((time, time), bool))
    hidden_mask = jnp.where(seen, 0.0, -1e9)[:, None, :, :]

    def layer(x: jax.Array, weights: Parameters) -> jax.Array:
        y = _norm(x, weights["attention_norm"], shape.norm_epsilon)
        query, key, value = (
            (y @ weights[name]).reshape(batch, time, shape.heads, size) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bthd,bshd->bhts", _rotate(query, cosine, sine), _rotate(key, cosine, sine)) * size**-0.5
        mixed = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores + hidden_mask, axis=-1), value)
        x = x + mixed.reshape(batch, time, shape.width) @ weights["attention_out"]
        y = _norm(x, weights["hidden_norm"], shape.norm_epsilon)
        return x + (jax.nn.silu(y @ weights["gate"]) * (y @ weights["up"])) @ weights["down"]

    x = parameters["embedding"][tokens]
    per_layer = {name: weight for name, weight in parameters.items() if name not in ("embedding", "final_norm")}
    for index in range(shape.layers):
        x = layer(x, {name: weight[index] for name, weight in per_layer.items()})
    return _norm(x, parameters["final_norm"], shape.norm_epsilon) @ parameters["embedding"].T


def loss(parameters: Parameters, tokens: jax.Array, segments: jax.Array, weights: jax.Array, shape: Shape) -> jax.Array:
    """Mean cross-entropy in nats of predicting each token of the same segment from those before it, by the tokens' weights."""
    scores = logits(parameters, tokens[:, :-1], segments[:, :-1], shape)
    target = tokens[:, 1:]
    counted = weights[:, 1:] * (segments[:, 1:] == segments[:, :-1])
    entropy = jax.nn.logsumexp(scores, axis=-1) - jnp.take_along_axis(scores, target[..., None], axis=-1)[..., 0]
    return jnp.sum(entropy * counted) / jnp.maximum(jnp.sum(counted), 1.0)
