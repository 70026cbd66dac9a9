"""Muon for the matrices of the layers, since it needs few steps, and Adam for everything else.

Muon: Keller Jordan, https://kellerjordan.github.io/posts/muon/ (the momentum is made orthogonal by a Newton-Schulz iteration).
"""

import jax
import jax.numpy as jnp

from model import Parameters

MATRICES = ("query", "key", "value", "attention_out", "gate", "up", "down")
MOMENTUM = 0.95
ADAM = (0.9, 0.98, 1e-9)
WEIGHT_DECAY = 0.01


def _orthogonal(matrices: jax.Array) -> jax.Array:
    """Bring the singular values of stacked matrices near 1 (five steps of the quintic Newton-Schulz iteration)."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if wide else x.mT


def initial_state(parameters: Parameters) -> dict[str, Parameters]:
    """Zeros for the first moment of every parameter and the second moment of Adam's."""
    return {
        "first": jax.tree.map(jnp.zeros_like, parameters),
        "second": {name: jnp.zeros_like(weight) for name, weight in parameters.items() if name not in MATRICES},
    }


def update(
    parameters: Parameters,
    gradients: Parameters,
    state: dict[str, Parameters],
    step: jax.Array,
    muon_rate: jax.Array,
    adam_rate: jax.Array,
):
    """One step (counted from 1); returns the new parameters and state."""
    fresh, first, second = {}, {}, {}
    for name, gradient in gradients.items():
        weight = parameters[name]
        if name in MATRICES:
            first[name] = MOMENTUM * state["first"][name] + gradient
            change = (
                _orthogonal(gradient + MOMENTUM * first[name]) * max(1.0, weight.shape[-1] / weight.shape[-2]) ** 0.5
            )
            fresh[name] = weight * (1 - muon_rate * WEIGHT_DECAY) - muon_rate * change
        else:
            beta1, beta2, epsilon = ADAM
            first[name] = beta1 * state["first"][name] + (1 - beta1) * gradient
            second[name] = beta2 * state["second"][name] + (1 - beta2) * gradient**2
            mean, square = first[name] / (1 - beta1**step), second[name] / (1 - beta2**step)
            fresh[name] = weight - adam_rate * mean / (jnp.sqrt(square) + epsilon)
    return fresh, {"first": first, "second": second}
