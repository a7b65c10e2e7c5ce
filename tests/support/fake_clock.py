"""A clock that a test sets."""

from __future__ import annotations


class FakeClock:
    """Seconds, which pass as the test says, and at each look by `look_s`."""

    def __init__(self, look_s: float = 0.0) -> None:
        self.now_s, self._look_s = 0.0, look_s

    def __call__(self) -> float:
        self.now_s += self._look_s
        return self.now_s
