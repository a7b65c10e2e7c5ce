"""Exponential backoff with jitter between attempts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_JITTER = 0.25  # more or less, so that a thousand actors do not all reconnect in the same moment
_DOUBLINGS_MAX = 32  # larger powers overflow, and the longest wait is reached long before


@dataclass(slots=True)
class Backoff:
    """The waits between attempts: `first_s`, then twice that, and so on up to `longest_s`, each varied by up to 25%.

    Not for use by two threads at once. Libraries for backoff (tenacity, stamina) wrap a call and repeat it. Our loops
    wait for a condition, a stop flag or a new version between two attempts, and only need the length of the wait.
    """

    first_s: float
    longest_s: float
    _attempts: int = field(default=0, init=False)

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        self._attempts += 1
        return self.after_s(self._attempts)

    def after_s(self, failures: int) -> float:
        """Seconds to wait after this number of failures in a row, which is at least 1."""
        plain_s = min(self.first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX), self.longest_s)
        return min(plain_s * random.uniform(1 - _JITTER, 1 + _JITTER), self.longest_s)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Begin with the first wait again, because an attempt has succeeded."""
        self._attempts = 0
