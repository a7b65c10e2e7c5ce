"""The number of trained steps per second, over the last few seconds."""

from __future__ import annotations

from collections import deque

from ...common.process.clock import monotonic_s

_WINDOW_S = 3.0


class Throughput:
    """The rate of change of a total that only grows."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, total: int) -> None:
        """Record that the total is `total` now."""
        now = monotonic_s()
        self._seen.append((now, total))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()

    def per_second(self) -> float:
        """The rate over the window; 0 before there are two totals."""
        if len(self._seen) < 2:
            return 0.0
        (began, low), (ended, high) = self._seen[0], self._seen[-1]
        return (high - low) / max(ended - began, 1e-9)
