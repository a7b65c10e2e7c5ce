"""Clocks: wall time for timestamps that other processes read, monotonic time for durations."""

from __future__ import annotations

import time

monotonic_s = time.monotonic


def now_ms() -> int:
    """Wall time in milliseconds since 1970, as Redis counts it."""
    return time.time_ns() // 1_000_000


class Every:
    """A timer that is due once in each period, and at the first call."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._next = float("-inf")

    @property
    def over(self) -> bool:
        """Whether the period is over. This does not start the next one."""
        return monotonic_s() >= self._next

    def due(self) -> bool:
        """Whether the period is over; if so, the next one starts now."""
        if not self.over:
            return False
        self._next = monotonic_s() + self.period_s
        return True

    def postpone(self, seconds: float) -> None:
        """Let it not be due before so many seconds from now."""
        self._next = max(self._next, monotonic_s() + seconds)
