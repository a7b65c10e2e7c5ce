"""Which streams are looked at in a turn: those that delivered lately each time, the others in slices."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIVE_S = 2.0  # so long after its last entry an actor is looked at in each turn
ACTIVE_MAX = 256  # of these in one turn; where there are more, they take turns
FEW = 32  # of the others: all of them are looked at in each turn
ROUND_S = 0.1  # in which each of the others is looked at once, unless there are too many
PER_SECOND = 4000  # of the others at most: a look at one costs the server and us a microsecond or two


class Rotation:
    """Names, and when each of them delivered last."""

    def __init__(self, clock: Callable[[], float] = monotonic_s) -> None:
        self._clock = clock
        self._active: OrderedDict[str, float] = OrderedDict()  # name to when it delivered; looked at longest ago first
        self._dormant: OrderedDict[str, None] = OrderedDict()  # looked at longest ago first
        self._sliced_s = self._sorted_s = clock()
        self._owed = 0.0  # looks at dormant names

    def add(self, name: str, *, active: bool) -> None:
        """Add a name; `active`: as if it had just delivered. Others are looked at next."""
        if active:
            self._active[name] = self._clock()
        else:
            self._dormant[name] = None
            self._dormant.move_to_end(name, last=False)

    def discard(self, name: str) -> None:
        """Remove a name."""
        self._active.pop(name, None)
        self._dormant.pop(name, None)

    def delivered(self, name: str) -> None:
        """Note that a name has delivered."""
        self._dormant.pop(name, None)
        self._active[name] = self._clock()

    def next(self) -> list[str]:
        """The names to look at now."""
        now_s = self._clock()
        if now_s - self._sorted_s > ROUND_S:
            self._sorted_s = now_s
            for name in [name for name, since_s in self._active.items() if now_s - since_s > ACTIVE_S]:
                del self._active[name]
                self._dormant[name] = None
        names = list(islice(self._active, ACTIVE_MAX))
        if len(names) < len(self._active):
            for name in names:
                self._active.move_to_end(name)
        return names + self._dormant_slice(now_s)

    def _dormant_slice(self, now_s: float) -> list[str]:
        if len(self._dormant) <= FEW:
            return list(self._dormant)
        per_second = min(len(self._dormant) / ROUND_S, PER_SECOND)
        self._owed = min(self._owed + per_second * (now_s - self._sliced_s), len(self._dormant), ACTIVE_MAX)
        self._sliced_s = now_s
        names = list(islice(self._dormant, int(self._owed)))
        self._owed -= len(names)
        for name in names:
            self._dormant.move_to_end(name)
        return names
