"""How large a part of what arrived lately was too old to train on, and what to change about it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ...common.process.clock import monotonic_s
from ...common.process.log import Log
from .versions_passed import LIMIT_MOST

_log = Log("learner")

WINDOW_S = 30.0
SHARE_MAX = 0.05  # of the steps; more is worth a warning
_STEPS_LEAST = 1000  # fewer say nothing


@dataclass(frozen=True, slots=True)
class Arrived:
    """The steps of the entries that one commit consumed."""

    steps: int = 0
    stale: int = 0  # of these: too stale, in rejected entries and in accepted ones
    too_old: int = 0  # of these: in entries rejected as too old

    def plus(self, other: Arrived, sign: int = 1) -> Arrived:
        """The sum, or the difference with sign -1."""
        return Arrived(
            self.steps + sign * other.steps, self.stale + sign * other.stale, self.too_old + sign * other.too_old
        )


class RejectedShare:
    """Over the last WINDOW_S seconds. For one thread."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, Arrived]] = deque()
        self._total = Arrived()  # in the window
        self.warning = ""  # what is wrong and which setting helps; empty where nothing is

    def add(self, arrived: Arrived, staleness_limit: int, max_age_s: float) -> None:
        """Add a commit, and log a warning where there was none before.

        Args:
            arrived: its steps.
            staleness_limit: in effect, in versions.
            max_age_s: in effect.
        """
        now_s = monotonic_s()
        self._arrived.append((now_s, arrived))
        self._total = self._total.plus(arrived)
        while now_s - self._arrived[0][0] > WINDOW_S:
            self._total = self._total.plus(self._arrived.popleft()[1], -1)
        warned, self.warning = self.warning, self._warning(staleness_limit, max_age_s)
        if self.warning and not warned:
            _log.warning(self.warning)

    def _warning(self, staleness_limit: int, max_age_s: float) -> str:
        steps, stale, too_old = self._total.steps, self._total.stale, self._total.too_old
        if steps < _STEPS_LEAST or stale + too_old <= SHARE_MAX * steps:
            return ""
        if stale >= too_old:
            help_ = (
                f"raise --max-staleness (now {staleness_limit} versions) or --batch-steps, so that fewer versions pass"
                if staleness_limit >= LIMIT_MOST
                else f"raise --max-staleness (now {staleness_limit} versions)"
            )
            return f"{stale / steps:.0%} of the steps of the last {WINDOW_S:.0f} s were too stale: {help_}"
        return (
            f"{too_old / steps:.0%} of the steps of the last {WINDOW_S:.0f} s were played too long ago: "
            f"raise --max-age (now {max_age_s:g} s)"
        )
