"""Reads the original bot's experience files, `exp_YYYYmmdd_HHMMSS_ep{N}.npz`, which have one game each.

A file has the arrays `states` [T, 15], `actions` [T] and `rewards` [T], with one row for each step. It has no
log-probabilities, no version and no outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...common.actions import Discrete
from ...common.errors import ConfigError, WireError
from ...common.wire.npz import read_npz
from ..games.observation_fit import fit_states

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ...common.policy.network import Floats
    from ...common.spec import GameSpec, ObservationFit
    from ...common.wire.codec import Array
    from .behaviour_policy import BehaviourPolicy

_DTYPES = {"states": ("float32", "float64"), "actions": ("int32", "int64"), "rewards": ("float32", "float64")}
_REWARD_MAX = 1e6  # in recorded games the largest rewards are about -5,000
_STATE_MAX = 1e6  # features are about 0 to 2


@dataclass(frozen=True, slots=True)
class PlayedGame:
    """One whole game that terminated. Its outcome is not known."""

    observations: Floats  # [T + 1, F], including the final one
    actions: NDArray[np.int32]  # [T]
    log_probs: Floats  # [T], of the behaviour policy that the user named
    rewards: Floats  # [T], the reward of each action


@dataclass(frozen=True, slots=True)
class ExperienceOptions:
    """How to read experience files."""

    behaviour: BehaviourPolicy
    rewards_shifted: bool = True  # index t has the reward before action t, as in all files of the original bot
    observation_fit: ObservationFit | None = None  # None: the run's setting


def check_readable(game: GameSpec) -> None:
    """Raise ConfigError, naming the field, if experience files cannot be of this game."""
    if len(game.observation_shape) != 1:
        raise ConfigError(f"observation_shape of {game.name}: {game.observation_shape}, expected one dimension")
    if game.observation_dtype != "float32":
        raise ConfigError(f"observation_dtype of {game.name}: {game.observation_dtype}, expected float32")
    if not isinstance(game.actions, Discrete):
        raise ConfigError(f"actions of {game.name}: {game.actions}, expected discrete ones")
    if game.masked:
        raise ConfigError(f"masked of {game.name}: True, expected False: the files have no action masks")


def read_experience(path: Path, game: GameSpec, options: ExperienceOptions, max_steps: int | None = None) -> PlayedGame:
    """Read one file.

    If the rewards are shifted, the first reward belongs to no recorded action, and the reward of the last action is
    missing. The game then has one step less than the file; the last state is its final observation.

    Args:
        path: the file.
        game: the run's game.
        options: how to read it.
        max_steps: the largest number of rows; None: no limit.

    Raises:
        WireError: naming the first invalid array.
    """
    arrays = read_npz(path, _DTYPES)
    for name, dtypes in _DTYPES.items():
        _check(name, arrays, dtypes)
    states, actions, rewards = (arrays[name] for name in _DTYPES)
    for name, array in (("rewards", rewards), ("actions", actions)):
        if len(array) != len(states):
            why = ": one for each frame, not one for each step" if len(array) > len(states) else ""
            raise WireError(f"{name}: {len(array)}, expected {len(states)}, as many as states{why}")
    least = 2 if options.rewards_shifted else 1
    if len(states) < least:
        raise WireError(f"states: {len(states)} steps, expected at least {least}")
    if max_steps is not None and len(states) > max_steps:
        raise WireError(f"states: {len(states)} steps, expected at most {max_steps}, the run's longest game")
    choices = game.actions.outputs
    if actions.min() < 0 or actions.max() >= choices:
        raise WireError(f"actions: {actions.min()} to {actions.max()}, expected 0 to {choices - 1}")
    for name, array, bound in (("states", states, _STATE_MAX), ("rewards", rewards, _REWARD_MAX)):
        if np.abs(array).max(initial=0) > bound:
            raise WireError(f"{name}: up to {np.abs(array).max():.6g}, expected at most {bound:.0f} either way")

    observations = fit_states(states, game.features, options.observation_fit or "exact")
    if options.rewards_shifted:
        actions, rewards = actions[:-1], rewards[1:]
    else:
        observations = np.concatenate([observations, observations[-1:]])  # a terminated game needs no final one
    taken = actions.astype(np.int32)
    log_probs = options.behaviour.log_probs(observations[:-1], taken, choices)
    return PlayedGame(observations, taken, log_probs, rewards.astype(np.float32))


def _check(name: str, arrays: dict[str, Array], dtypes: tuple[str, ...]) -> None:
    if name not in arrays:
        raise WireError(f"{name}: missing, expected {', '.join(_DTYPES)}")
    array = arrays[name]
    if array.dtype.newbyteorder("=").name not in dtypes:
        raise WireError(f"{name}: dtype {array.dtype}, expected {' or '.join(dtypes)}")
    dimensions = 2 if name == "states" else 1
    if array.ndim != dimensions:
        raise WireError(f"{name}: shape {array.shape}, expected {dimensions} dimensions")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise WireError(f"{name}: not finite, expected finite values")
