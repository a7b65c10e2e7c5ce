"""Checks of the arguments of `connect`, and of what a game hands in.

A mistake in the calling code is a ConfigError, an unusable number is not.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ...common.actions import ActionSpace, Discrete
from ...common.arguments import choice, flag, instance, invalid, is_whole, optional, whole_number
from ...common.errors import BroodmindError, ConfigError, WireError
from ...common.spec import GameSpec
from ..games.observation_fit import fit_states
from ..policies.policy_follower import BEST, Version

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ...common.spec import ObservationDtype, ObservationFit

UpdatePolicy = Literal["episode", "step"]


class UnusableValue(BroodmindError):
    """A number from the game that cannot be trained on; the episode's data is not used, and the game goes on."""


def check_actions(game: GameSpec | None, actions: ActionSpace | int | None) -> ActionSpace | None:
    """The action space; the game's, where there is one. Raises ConfigError for one that is not the game's."""
    space = optional(_action_space, "actions", actions)
    if game is None:
        return space
    instance("game", game, GameSpec)
    if space not in {None, game.actions}:
        raise ConfigError(f"actions: {space}, expected {game.actions} as the game has, or none")
    return game.actions


def check_playing(
    update_policy: UpdatePolicy, version: Version, seed: int | None, *, greedy: bool, learn: bool
) -> Version:
    """Which version plays. Raises ConfigError for invalid arguments, and for those that only play without learning."""
    choice("update_policy", update_policy, get_args(UpdatePolicy))
    optional(partial(whole_number, least=0), "seed", seed)
    if flag("learn", learn) and flag("greedy", greedy):
        raise ConfigError("greedy: true with learn, expected learn=False: what is trained on must be drawn")
    if learn and version is not None:
        raise ConfigError(
            f"version: {version!r:.80} with learn, expected learn=False: games for training need the newest"
        )
    return optional(_version, "version", version)


def _action_space(name: str, value: Any) -> ActionSpace:  # noqa: ANN401 - to be checked
    if is_whole(value):
        return Discrete(value)
    if isinstance(value, ActionSpace):
        return value
    raise invalid(name, value, "a number of actions, or a Discrete, a MultiDiscrete or a Box")


def _version(name: str, value: Any) -> Version:  # noqa: ANN401 - to be checked
    if isinstance(value, str) and value == BEST:
        return BEST
    if is_whole(value) and value > 0:
        return int(value)
    raise invalid(name, value, f"{BEST!r}, the number of a version, or None for the newest")


def validate_observation(
    raw: ArrayLike, shape: tuple[int, ...], fit: ObservationFit = "exact", dtype: ObservationDtype = "float32"
) -> NDArray[Any]:
    """A copy of the observation in the run's dtype, fitted to `shape` as the run's spec says.

    It is a copy because the game may write its next observation into the same array.

    Raises:
        ConfigError: if it is not an array of numbers of that shape.
        UnusableValue: if a number is not finite.
    """
    of_bytes = dtype == "uint8" and getattr(raw, "dtype", None) == np.uint8  # so that its numbers need no check
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # overflows are found below
            observation: NDArray[Any] = np.array(raw, np.uint8 if of_bytes else np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"observation: {type(raw).__name__} ({error}), expected numbers of shape {shape}") from error
    if observation.ndim == len(shape) == 1 and fit != "exact":
        try:
            observation = fit_states(observation[None], shape[0], fit, "observation")[0]
        except WireError as error:
            raise ConfigError(str(error)) from error
    if observation.shape != shape:
        raise ConfigError(f"observation: shape {observation.shape}, expected {shape}")
    if of_bytes:
        return observation.astype(np.uint8, copy=False)
    # A sum of squares is finite only if every number is, and takes a third of the time that isfinite takes.
    if not math.isfinite(np.vdot(observation, observation)) and not np.isfinite(observation).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(observation))[0])
        raise UnusableValue(f"observation: {observation[where]} at {list(where)}, expected finite numbers")
    if dtype == "uint8":
        if ((observation < 0) | (observation > 255) | (observation % 1 != 0)).any():
            raise ConfigError(
                f"observation: {observation.min():g} to {observation.max():g}, expected whole numbers from 0 to 255"
            )
        return observation.astype(np.uint8)
    return observation


def validate_mask(raw: ArrayLike | None, game: GameSpec) -> NDArray[np.bool_] | None:
    """The mask as booleans; None if the game has no mask.

    Raises:
        ConfigError: if it is not a mask of the game's actions.
        UnusableValue: if it allows no action.
    """
    if not game.masked:
        if raw is not None:
            raise ConfigError("mask: given, expected none: the run's game has no mask")
        return None
    width = sum(game.actions.sizes)
    if raw is None:
        return np.ones(width, np.bool_)
    try:
        mask = np.array(raw, np.bool_)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"mask: {type(raw).__name__} ({error}), expected {width} booleans") from error
    if mask.shape != (width,):
        raise ConfigError(f"mask: shape {mask.shape}, expected {(width,)}")
    if not all(choice.any() for choice in np.split(mask, np.cumsum(game.actions.sizes)[:-1])):
        raise UnusableValue("mask: allows no action, expected at least one")
    return mask


def number(name: str, raw: float) -> float:
    """Any kind of number as a float. Raises ConfigError, with `name`, if `raw` is not a number."""
    try:
        return float(raw)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{name}: {raw!r:.80}, expected a number") from error
