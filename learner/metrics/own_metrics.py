"""The means of the games' own metrics over the last games, by the names that the games give them."""

from __future__ import annotations

import math
from collections import deque
from operator import index
from typing import TYPE_CHECKING, Any

from ...common.own_metrics import NAMES_MAX, VALUE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...common.own_metrics import OwnMetrics


class OwnMetricsHistory:
    """The values of the last `games` games. Up to NAMES_MAX names; a name that none of these games has is forgotten."""

    def __init__(self, games: int) -> None:
        self._games = games
        self._values: dict[str, deque[float | None]] = {}  # one item a game, since the name was first seen
        self._means: dict[str, float] | None = {}  # None: not computed since the last game
        self.ignored = 0  # values of names for which there was no room

    def add(self, metrics: Sequence[OwnMetrics], games: int) -> None:
        """Add games, in the order in which they began.

        Args:
            metrics: of each game; empty where none of them has any.
            games: how many they are.
        """
        if not (metrics or self._values) or not games:
            return
        for each in metrics or [()] * games:
            own = dict(each)
            for name in sorted(own.keys() - self._values.keys()):
                self._begin(name)
            for name, values in self._values.items():
                values.append(own.get(name))
        self._means = None

    def means(self) -> dict[str, float]:
        """The mean of each name over those of the games that have it."""
        if self._means is None:
            known = {name: [each for each in values if each is not None] for name, values in self._values.items()}
            self._means = {name: math.fsum(values) / len(values) for name, values in sorted(known.items()) if values}
        return self._means

    def state(self) -> dict[str, Any]:
        """For `restore`."""
        return {"values": {name: list(values) for name, values in self._values.items()}, "ignored": self.ignored}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a decoded result of `state`. Raises TypeError, KeyError or ValueError if it is not one."""
        for name, values in state["values"].items():
            if not isinstance(name, str) or not all(value is None or abs(value) <= VALUE_MAX for value in values):
                raise TypeError(f"{name!r:.40}: expected a finite number or nothing a game")
            self._values[name] = deque(values, maxlen=self._games)
        self.ignored = index(state["ignored"])
        self._means = None

    def _begin(self, name: str) -> None:
        if len(self._values) >= NAMES_MAX:
            # Those that have begun with this game have no item yet.
            unused = [other for other, values in self._values.items() if values and not any(map(_is_given, values))]
            for other in unused:
                del self._values[other]
        if len(self._values) < NAMES_MAX:
            self._values[name] = deque(maxlen=self._games)
        else:
            self.ignored += 1


def _is_given(value: float | None) -> bool:
    return value is not None
