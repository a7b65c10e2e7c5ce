"""The queue between the thread that reads entries and the thread that takes them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError

if TYPE_CHECKING:
    from ..ledger.stream_entry import Entry


class HandoverQueue:
    """Entries in the order in which they were read. One thread puts, one thread takes.

    The steps held are the difference of two totals, each written by one thread alone. A single count that both threads
    change would lose changes: `count -= n` reads, subtracts and writes, and the other thread may write in between.
    """

    def __init__(self) -> None:
        self._entries: deque[Entry | BroodmindError] = deque()
        self._arrived = threading.Event()  # set whenever there may be entries
        self._read_steps = 0  # written by the reading thread alone
        self._taken_steps = 0  # written by the taking thread alone
        self._waited_for = False

    @property
    def held_steps(self) -> int:
        """Steps that were put and not yet taken; an entry without a trajectory counts as one."""
        return self._read_steps - self._taken_steps

    @property
    def empty(self) -> bool:
        """Whether everything that was put has been taken."""
        return not self._entries

    @property
    def waited_for(self) -> bool:
        """Whether the thread that takes is waiting for an entry."""
        return self._waited_for and not self._entries

    def put(self, entry: Entry) -> None:
        """Add an entry. This does not wake a waiting thread: call `wake` after the last entry of a read.

        With a wake-up for each entry, the two threads would compete for the interpreter lock during decoding.
        """
        self._read_steps += _size(entry)
        self._entries.append(entry)

    def wake(self) -> None:
        """Wake the thread that waits in `take`."""
        self._arrived.set()

    def fail(self, error: BroodmindError) -> None:
        """Have `take` raise an error, once all entries before it have been taken."""
        self._entries.append(error)
        self._arrived.set()

    def take(self, timeout_s: float) -> Entry | None:
        """The next entry, or None after `timeout_s` without one. Raises the error that `fail` was given."""
        if not self._entries:
            self._arrived.clear()
            self._waited_for = True
            if not self._entries:  # no entry has come since the check above
                self._arrived.wait(timeout_s)
            if not self._entries:
                return None  # and will ask again at once: it is still waiting
        self._waited_for = False
        entry = self._entries.popleft()
        if isinstance(entry, BroodmindError):
            raise entry
        self._taken_steps += _size(entry)
        return entry


def _size(entry: Entry) -> int:
    return entry.trajectory.valid.size if entry.trajectory else 1
