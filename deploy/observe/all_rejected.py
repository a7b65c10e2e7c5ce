"""Ends a run that trains on nothing, because all play is rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.errors import NothingTrained
from ...learner.ledger.counters import REJECTIONS

if TYPE_CHECKING:
    from ...learner.ledger.counters import Rejection
    from .run_view import RunView

_ENTRIES = 20  # rejected since the last that was trained on
_SECONDS = 10.0  # since then, so that a slow start with a few stale ones is no reason


class AllRejected:
    """Watches how much is trained on, and how much is rejected."""

    def __init__(self, entries: int = _ENTRIES, seconds: float = _SECONDS) -> None:
        self._entries, self._seconds = entries, seconds
        self._steps = -1
        self._since_s = 0.0
        self._before: dict[Rejection, int] = {}

    def check(self, view: RunView, seconds: float) -> None:
        """Raise NothingTrained if for some time all of many entries were rejected.

        Args:
            view: the current state of the run.
            seconds: the time of it.
        """
        steps = int(view.head.get("steps", 0))
        counts = {name: int(view.head.get(name, 0)) for name in REJECTIONS}
        if steps != self._steps:
            self._steps, self._since_s, self._before = steps, seconds, counts
        rejected = {name: count - self._before[name] for name, count in counts.items()}
        if sum(rejected.values()) < self._entries:
            return
        if seconds - self._since_s >= self._seconds:
            reasons = ", ".join(f"{name} {count}" for name, count in rejected.items() if count)
            raise NothingTrained(
                f"nothing is trained on: all play of {seconds - self._since_s:.0f} s was rejected ({reasons}); the "
                "actors' logs tell why"
            )
