"""What a game shows and says, checked: a mistake in the calling code is one thing, a number of no use another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...common.errors import BroodmindError, ConfigError, WireError
from ..games.observation_fit import fit_states

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ...common.spec import GameSpec, StateFit


class UnusableValue(BroodmindError):
    """A number from the game that nothing can be learnt from; it spoils the episode, and never the game."""


def validate_observation(raw: ArrayLike, shape: tuple[int, ...], fit: StateFit = "exact") -> NDArray[np.float32]:
    """A copy, made to fit if the run says how: the game may write its next observation into the same array."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
            seen = np.array(raw, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"observation: {type(raw).__name__} ({error}), expected numbers of shape {shape}") from error
    if seen.ndim == len(shape) == 1 and fit != "exact":
        try:
            seen = fit_states(seen[None], shape[0], fit, "observation")[0]
        except WireError as error:
            raise ConfigError(str(error)) from error
    if seen.shape != shape:
        raise ConfigError(f"observation: shape {seen.shape}, expected {shape}")
    if not np.isfinite(seen).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(seen))[0])
        raise UnusableValue(f"observation: {seen[where]} at {list(where)}, expected finite numbers")
    return seen


def validate_mask(raw: ArrayLike | None, game: GameSpec) -> NDArray[np.bool_] | None:
    """The mask as booleans; None where the game has none."""
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
    """A float, whatever kind of number it was."""
    try:
        return float(raw)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {raw!r:.80}, expected a number") from error
