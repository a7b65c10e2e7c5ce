"""Which actors have everything that they send rejected as stale: beside faster ones, a long game always may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s
from ...common.process.log import Log

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_log = Log("learner")

IN_A_ROW, FOR_S = 5, 10.0  # so many stale entries of an actor, for so long, are worth a warning
_NAMED = 3  # actors in a warning
_BY_STEP = 'connect(..., update_policy="step")'


class StaleActors:
    """Counts each actor's stale entries since the last one that was trained on. For one thread."""

    def __init__(self) -> None:
        self._stale: dict[str, tuple[int, float]] = {}  # how many, and when the first of them was consumed
        self.warning = ""  # who they are and which settings help; empty where there is none

    def add(self, entries: Iterable[tuple[str, bool]], actors: Collection[str], staleness_limit: int) -> None:
        """Add what a commit consumed, and log a warning where there was none before.

        Args:
            entries: the actor of each, and whether it was rejected as stale; the others were trained on.
            actors: those that are read; others are forgotten.
            staleness_limit: in effect, in versions.
        """
        now_s = monotonic_s()
        for actor, stale in entries:
            count, since_s = self._stale.get(actor, (0, now_s))
            self._stale[actor] = (count + 1, since_s) if stale else (0, now_s)
        self._stale = {actor: each for actor, each in self._stale.items() if each[0] and actor in actors}
        warned, self.warning = self.warning, self._warning(now_s, staleness_limit)
        if self.warning and not warned:
            _log.warning(self.warning)

    def _warning(self, now_s: float, staleness_limit: int) -> str:
        named = sorted(
            actor for actor, (count, since_s) in self._stale.items() if count >= IN_A_ROW and now_s - since_s >= FOR_S
        )
        if not named:
            return ""
        more = f" and of {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return (
            f"nothing of actor {', '.join(named[:_NAMED])}{more} is trained on: while it plays, more versions pass "
            f"than --max-staleness (now {staleness_limit}): raise it, or play with {_BY_STEP}"
        )
