"""Exponential backoff with jitter between attempts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_JITTER = 0.25  # a quarter more or less, so that a thousand actors do not all reconnect at the same moment
_DOUBLINGS_MAX = 32  # the longest wait is reached with fewer, and larger powers overflow


@dataclass(slots=True)
class Backoff:
    """Exponential backoff with jitter: `first_s`, twice that, and so on up to `longest_s`, each give or take a quarter.

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
        """Seconds to wait after `failures` failures in a row (at least one)."""
        plain_s = min(self.first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX), self.longest_s)
        return min(plain_s * random.uniform(1 - _JITTER, 1 + _JITTER), self.longest_s)  # noqa: S311 - no secret

    def reset(self) -> None:
        """Begin with the first wait again, because an attempt has succeeded."""
        self._attempts = 0
