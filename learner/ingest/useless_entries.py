"""Limits how much of the time goes into entries that are of no use, by the actors that they come from.

An entry of 50 MB that is none takes the server a tenth of a second and the learner as long. An actor that adds such
entries, or thousands of small ones, is read less, unless there is nothing else to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ledger.counters import Rejection

SHARE = 1 / 32  # of the time
AT_ONCE_S = 0.05  # after a while without such entries
BYTES_PER_S = 1e8  # of large ones, on the server and here: half of what was measured
ENTRY_S = 1.5e-4  # of each: to read, reject and commit it
PROBATION = 16  # useful entries, after which an actor is read as the others are
STARVED_S = 3.0  # without a useful entry, while the learner waits for one
_ACTORS_MAX = 8192  # remembered
# An honest actor sends none of these for long. What is merely too old is read: it may be fresh next time.
USELESS: frozenset[Rejection] = frozenset({"invalid", "off_run", "wrong_epoch"})


class UselessEntries:
    """Which actors may be read now. For one thread."""

    def __init__(self, clock: Callable[[], float] = monotonic_s) -> None:
        self._clock = clock
        self._left_s, self._counted_s = AT_ONCE_S, clock()
        self._useful_s = clock()  # when the last useful entry came
        self._doubtful: dict[str, int] = {}  # actor to how many useful entries it owes
        self._proven: set[str] = set()  # actors that have sent a useful entry

    def arrived(self, actor: str, rejected: Rejection | None, size: int) -> None:
        """Take note of an entry of `size` bytes, and why it is rejected if it is."""
        if rejected is None:
            self._useful_s = self._clock()
            self._proven.add(actor)
            if actor in self._doubtful:
                self._doubtful[actor] -= 1
                if not self._doubtful[actor]:
                    del self._doubtful[actor]
        elif rejected in USELESS:
            self._left_s -= ENTRY_S + size / BYTES_PER_S
            self._doubtful[actor] = PROBATION
            self._forget_if_many()

    def exhausted(self, *, starving: bool) -> bool:
        """Whether the time for useless entries is used up, so that not all actors may be read.

        Args:
            starving: whether the learner waits for entries. If it has for long, there is time for all of them.
        """
        now_s = self._clock()
        self._left_s = min(self._left_s + SHARE * (now_s - self._counted_s), AT_ONCE_S)
        self._counted_s = now_s
        return self._left_s <= 0 and not (starving and now_s - self._useful_s > STARVED_S)

    def expected_of(self, actor: str, *, large: bool) -> bool:
        """Whether an actor's next entries may be useless; `large`: there are more bytes than one read may bring."""
        return actor in self._doubtful or (large and actor not in self._proven)

    def _forget_if_many(self) -> None:
        if len(self._doubtful) > _ACTORS_MAX:
            self._doubtful.clear()
        if len(self._proven) > _ACTORS_MAX:
            self._proven.clear()
