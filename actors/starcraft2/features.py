"""The 15 features of the original bot, from plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..games.tinyzerg import FEATURE_LIMIT, FEATURE_SCALES

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Seen(NamedTuple):
    """What a decision rests on, unscaled, in the original's order; what it could not see counts as nothing."""

    minerals: float
    vespene: float
    supply_used: float
    supply_cap: float
    workers: float
    units: float  # all of ours that are no structures: larvae, overlords and workers too
    enemy_units: float  # in sight
    bases: float
    game_time_s: float
    enemy_bases: float
    upgrades: float
    larva: float
    map_control: float  # our share of all bases known; 0.5 before any of the enemy's is
    own_army_hp: float
    enemy_army_hp: float


def observe(seen: Seen) -> NDArray[np.float32]:
    """The features [15], each divided by its scale and cut to [0, 2].

    The cut is for the rare number beyond the scale's double, such as an hour's game time: minerals to 1.6, vespene to
    1.8 and larvae to 1.4 are seen in ordinary games.
    """
    return np.clip(np.array(seen) / FEATURE_SCALES, 0.0, FEATURE_LIMIT).astype(np.float32)


def map_control(bases: int, enemy_bases: int) -> float:
    """Our share of all bases known, 0 .. 1."""
    return bases / (bases + enemy_bases) if enemy_bases else 0.5
