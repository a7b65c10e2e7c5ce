"""The network of actors and learner: a multi-layer perceptron with a policy head and a value head.

Parameters are a flat map: `policy/w0` [fan in, fan out], `policy/b0` [fan out], and so on. With separate torsos, policy
and value function are the stacks `policy` and `value`. With a shared torso, the heads `policy` and `value` use the
outputs of the stack `torso`.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..actions import Box
from .flat_observations import IMAGE_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec import Activation, GameSpec, NetworkSpec

Floats = np.ndarray[tuple[int, ...], np.dtype[np.floating]]
Observations = np.ndarray[tuple[int, ...], np.dtype[Any]]  # as the game gives them: float32 or uint8
Params = dict[str, Floats]

LOG_STD = "policy/log_std"  # [D], of a Gaussian policy
MEAN, SCALE = "observations/mean", "observations/scale"  # [F]; the scale is 1 / standard deviation

NORMALISED_MAX = 10.0  # in deviations; limits features that hardly varied before and have a small deviation
_BLOCK = 1024  # rows computed at a time in inference, so that the hidden layers' outputs stay in the cache
_GAIN = math.sqrt(2)
_HEAD_GAINS = {"policy": 0.01, "value": 0.0}


def stacks(network: NetworkSpec, game: GameSpec) -> dict[str, tuple[int, ...]]:
    """Name to widths of each stack of dense layers: the input's, then each layer's."""
    widths, outputs = (game.features, *network.hidden), game.actions.outputs
    if network.shared:
        return {"torso": widths, "policy": (widths[-1], outputs), "value": (widths[-1], 1)}
    return {"policy": (*widths, outputs), "value": (*widths, 1)}


def shapes(network: NetworkSpec, game: GameSpec) -> dict[str, tuple[int, ...]]:
    """Name to shape of every trained parameter, in the order of `learner.maths.flat_parameters`."""
    result: dict[str, tuple[int, ...]] = {}
    every = stacks(network, game)
    # Layer by layer, so that equal layers of policy and value function are adjacent in memory and can be stacked.
    for layer in range(max(map(len, every.values())) - 1):
        of_layer = {name: widths[layer : layer + 2] for name, widths in every.items() if layer + 1 < len(widths)}
        result |= {f"{name}/w{layer}": widths for name, widths in of_layer.items()}
        result |= {f"{name}/b{layer}": widths[1:] for name, widths in of_layer.items()}
    if isinstance(game.actions, Box):
        result[LOG_STD] = game.actions.shape
    return result


def carried_shapes(network: NetworkSpec, game: GameSpec) -> dict[str, tuple[int, ...]]:
    """Name to shape of the arrays that are sent with the parameters and not trained: the observation normaliser."""
    return {MEAN: (game.features,), SCALE: (game.features,)} if network.normalize_observations else {}


def forward(params: Params, name: str, inputs: Floats, activation: Activation, *, head: bool = True) -> list[Floats]:
    """Run one stack of dense layers.

    Args:
        params: the network's parameters.
        name: the stack: torso, policy or value.
        inputs: [N, fan in].
        activation: the activation after each layer.
        head: whether the last layer is linear, without an activation; it is not in a torso.

    Returns:
        The inputs and each layer's outputs, [N, fan out]; the last one is the stack's result.
    """
    outputs = [inputs]
    layer, weights = 0, params.get(f"{name}/w0")
    while weights is not None:
        following = params.get(f"{name}/w{layer + 1}")
        output = outputs[-1] @ weights
        output += params[f"{name}/b{layer}"]
        if not head or following is not None:
            activate(output, activation)
        outputs.append(output)
        layer, weights = layer + 1, following
    return outputs


def activate(values: Floats, activation: Activation) -> None:
    """Apply the activation in place."""
    if activation == "tanh":
        np.tanh(values, out=values)
    else:
        np.maximum(values, 0, out=values)


def scaled(observations: Observations) -> Floats:
    """Observations as float32. Those of uint8, which the game's spec must call so too, are divided by 255."""
    if observations.dtype == np.uint8:
        return np.multiply(observations, IMAGE_SCALE, dtype=np.float32)
    return observations.astype(np.float32, copy=False)


def prepare(params: Params, observations: Observations) -> Floats:
    """The network's inputs [N, F] for observations [N, ...]: flat, scaled, and normalised if `params` has a normaliser.

    The moments of the normaliser are of scaled observations.
    """
    flat = scaled(observations.reshape(len(observations), -1))
    if MEAN not in params:
        return flat
    normalised = (flat - params[MEAN]) * params[SCALE]
    return np.clip(normalised, -NORMALISED_MAX, NORMALISED_MAX, out=normalised)


def policy_outputs(params: Params, network: NetworkSpec, observations: Floats) -> Floats:
    """The policy head's outputs [N, K] for prepared observations [N, F]."""
    return _head_outputs(params, "policy", network, observations)


def value_outputs(params: Params, network: NetworkSpec, observations: Floats) -> Floats:
    """The value head's outputs [N] for prepared observations [N, F]."""
    return _head_outputs(params, "value", network, observations)[:, 0]


def _head_outputs(params: Params, head: str, network: NetworkSpec, observations: Floats) -> Floats:
    if len(observations) <= _BLOCK:
        return _block_outputs(params, head, network, observations)
    starts = range(0, len(observations), _BLOCK)
    return np.concatenate(
        [_block_outputs(params, head, network, observations[start : start + _BLOCK]) for start in starts]
    )


def _block_outputs(params: Params, head: str, network: NetworkSpec, observations: Floats) -> Floats:
    if network.shared:
        observations = forward(params, "torso", observations, network.activation, head=False)[-1]
    return forward(params, head, observations, network.activation)[-1]


def initial_params(network: NetworkSpec, game: GameSpec, rng: np.random.Generator) -> Params:
    """Orthogonal weights (Saxe et al. 2013), zero biases.

    The gains are the usual ones for policy gradients: sqrt(2) for hidden layers, and 0.01 for the policy head, so that
    the first policy is almost uniform. The value head begins with zeros, and not with 1 as elsewhere: random values of
    that size are everything in a game with rewards of 0.001, and nothing in one with rewards of 1000. `rng` is used
    once for each layer, stack by stack.
    """
    params: Params = {}
    for name, widths in stacks(network, game).items():
        last = len(widths) - 2
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            gain = _HEAD_GAINS.get(name, _GAIN) if layer == last else _GAIN
            params[f"{name}/w{layer}"] = (gain * _orthogonal(fan_in, fan_out, rng)).astype(np.float32)
            params[f"{name}/b{layer}"] = np.zeros(fan_out, np.float32)
    if isinstance(game.actions, Box):
        params[LOG_STD] = np.zeros(game.actions.shape, np.float32)
    return params


def _orthogonal(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.float64]:
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # otherwise the result would not be distributed uniformly over orthogonal matrices
    return q if rows >= columns else q.T
