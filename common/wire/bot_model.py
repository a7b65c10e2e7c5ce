"""Reads and writes the model file of the original bot, so that its users can move in both directions.

The file is an npz of float64 arrays, `W1 b1 W2 b2 W3 b3` [fan in, fan out], of a policy 15-64-64-5 with ReLU and
softmax. It also has `baseline` (the moving average of returns) and `episode_count`, one number each; `timestamp` is
ignored. Its name is `rl_agent_model.npz` or, because of a bug, `rl_agent_model.tmp.npz`. Our parameters are float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..actions import Discrete
from ..errors import ConfigError, WireError
from ..policy.network import policy_outputs, shapes
from ..spec import GameSpec, NetworkSpec
from .npz import read_npz

if TYPE_CHECKING:
    from pathlib import Path

    from ..policy.network import Floats, Params
    from .codec import Array

GAME = GameSpec("ZergMacro", (15,), Discrete(5), wins=True)
NETWORK = NetworkSpec(hidden=(64, 64), activation="relu")
_LAYERS = {f"policy/{ours}{layer}": f"{theirs}{layer + 1}" for layer in range(3) for ours, theirs in ("wW", "bb")}
_SHAPES = {theirs: shapes(NETWORK, GAME)[ours] for ours, theirs in _LAYERS.items()}
_COUNTS = ("baseline", "episode_count")
_EPISODES_MAX = 2**53


@dataclass(frozen=True, slots=True)
class BotModel:
    """The contents of a model file."""

    params: Params  # policy/w0, policy/b0, ...
    baseline: float = 0.0  # moving average of returns, for the bot's own training
    episode_count: int = 0

    def logits(self, observations: Floats) -> Floats:
        """The policy's outputs [N, 5] for observations [N, 15]."""
        return policy_outputs(self.params, NETWORK, observations)

    def arrays(self) -> dict[str, Array]:
        """The arrays of the file, under the bot's names and in its dtypes."""
        return {
            **{theirs: self.params[ours].astype(np.float64) for ours, theirs in _LAYERS.items()},
            "baseline": np.array([self.baseline], np.float64),
            "episode_count": np.array([self.episode_count], np.int64),
        }


def is_bot_model(arrays: dict[str, Array]) -> bool:
    """Whether these arrays are those of such a file; they may still be invalid."""
    return not arrays.keys().isdisjoint(_SHAPES)


def read_bot_model(path: Path) -> BotModel:
    """Read a model file of the original bot.

    Raises:
        ConfigError: naming the file and the first invalid array.
    """
    try:
        return take_bot_model(read_npz(path, (*_SHAPES, *_COUNTS)))
    except WireError as error:
        raise ConfigError(f"model {path}: {error}") from error


def take_bot_model(arrays: dict[str, Array]) -> BotModel:
    """Check the arrays of a model file. Raises WireError naming the first invalid one."""
    params: Params = {}
    for ours, theirs in _LAYERS.items():
        if theirs not in arrays:
            raise WireError(f"{theirs}: missing, expected {' '.join(_SHAPES)}")
        array = arrays[theirs]
        if array.dtype.kind != "f" or array.shape != _SHAPES[theirs]:
            raise WireError(f"{theirs}: {array.dtype} {array.shape}, expected float64 {_SHAPES[theirs]}")
        with np.errstate(over="ignore"):
            params[ours] = array.astype(np.float32)
        if not np.isfinite(params[ours]).all():
            raise WireError(f"{theirs}: not finite in single precision, expected finite weights")
    baseline, episodes = (_number(arrays, name) for name in _COUNTS)
    if not 0 <= episodes < _EPISODES_MAX:
        raise WireError(f"episode_count: {episodes}, expected 0 to 2^53")
    return BotModel(params, baseline, int(episodes))


def check_exportable(game: GameSpec, network: NetworkSpec) -> None:
    """Raise ConfigError, naming the field, if the bot's file cannot hold such a policy."""
    for name, ours, theirs in (
        ("observation_shape", game.observation_shape, GAME.observation_shape),
        ("actions", game.actions, GAME.actions),
        ("masked", game.masked, False),
        ("hidden", network.hidden, NETWORK.hidden),
        ("activation", network.activation, NETWORK.activation),
        ("shared", network.shared, NETWORK.shared),
        ("normalize_observations", network.normalize_observations, NETWORK.normalize_observations),
    ):
        if ours != theirs:
            raise ConfigError(f"{name}: {ours}, expected {theirs}, which is all that the original bot's model can hold")


def _number(arrays: dict[str, Array], name: str) -> float:
    """A number of the file; 0 if it is missing, as in files of an early version of the bot."""
    array = arrays.get(name, np.zeros(1))
    if array.size != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise WireError(f"{name}: {array.dtype} {array.shape}, expected one finite number")
    return float(array.reshape(())[()])
