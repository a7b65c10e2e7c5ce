"""The 15 features of the original bot, computed from plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...common import deprecated
from ..games.tinyzerg import FEATURE_LIMIT, FEATURE_SCALES

if TYPE_CHECKING:
    from numpy.typing import NDArray


class GameState(NamedTuple):
    """The unscaled features, in the order of the original bot. Enemy units out of sight are not counted."""

    minerals: float
    vespene: float
    supply_used: float
    supply_cap: float
    workers: float
    units: float  # all own units except structures: larvae, overlords and workers too
    enemy_units: float  # in sight
    bases: float
    game_time_s: float
    enemy_bases: float
    upgrades: float
    larva: float
    map_control: float  # our fraction of all known bases; 0.5 while no enemy base is known
    own_army_hp: float
    enemy_army_hp: float


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
    """The name that GameState had in 0.1, with a warning."""
    return deprecated.module_attribute(__name__, name)


def observe(state: GameState) -> NDArray[np.float32]:
    """The features [15] as float32, each divided by its scale and clipped to [0, 2].

    In ordinary games scaled minerals reach 1.6, vespene 1.8 and larvae 1.4; only rare values, such as the game time
    after an hour, are clipped.
    """
    return np.clip(np.array(state) / FEATURE_SCALES, 0.0, FEATURE_LIMIT).astype(np.float32)


def map_control(bases: int, enemy_bases: int) -> float:
    """Our fraction of all known bases, 0 to 1; 0.5 while no enemy base is known."""
    return bases / (bases + enemy_bases) if enemy_bases else 0.5
