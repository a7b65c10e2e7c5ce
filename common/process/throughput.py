"""Throughput: how much a total grows per second, over the last few seconds until now."""

from __future__ import annotations

from collections import deque

from .clock import monotonic_s

_WINDOW_S = 3.0
_LATE = 2.0  # after so many times the usual time between two totals more than that, no further one is expected


class Throughput:
    """The rate of change of a total that only grows."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._usual_s = 0.0  # between two totals

    def add(self, total: int) -> None:
        """Record that the total is `total` now."""
        now = monotonic_s()
        self._seen.append((now, total))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        if len(self._seen) > 1:
            mean_s = (now - self._seen[0][0]) / (len(self._seen) - 1)
            # A pause is no time between two totals; but where they really become slower, they are soon the usual.
            most_s = _LATE * max(self._usual_s, _WINDOW_S)
            self._usual_s = min(mean_s, most_s) if self._usual_s else mean_s

    @property
    def late_s(self) -> float:
        """For how long a further total has been due; 0 before there are two, and while it is not."""
        return max(monotonic_s() - self._seen[-1][0] - self._usual_s, 0.0) if len(self._seen) > 1 else 0.0

    def per_second(self) -> float:
        """The rate over a window that ends now; 0 before there are two totals, and where no more have come for long.

        As long as the next total is not due, the window ends with the last one: the rate would go down and up again
        with each of them.
        """
        late_s = self.late_s
        if len(self._seen) < 2 or late_s > max(_WINDOW_S, _LATE * self._usual_s):
            return 0.0
        (began, low), (ended, high) = self._seen[0], self._seen[-1]
        return (high - low) / max(ended - began + late_s, 1e-9)
