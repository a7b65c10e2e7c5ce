"""The end of every process: the first signal asks it to drain, the second ends it at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Stop:
    """A plain flag. A threading.Event would be wrong: its lock can deadlock inside a signal handler."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Ask the loop to finish what it holds and leave."""
        self.requested = True


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Give a Stop that SIGINT and SIGTERM set; a second signal ends the process as if it had no handler.

    Must be entered in the main thread; earlier handlers come back at the end.
    """
    stop = Stop()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.requested:
            # Not sys.exit: that unwinds through code that is draining, and may be what hangs.
            os._exit(128 + number)
        stop.request()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_with_parent(stop: Stop, lifeline: BinaryIO | None = None) -> None:
    """Request the stop when `lifeline` (standard input) ends: the parent holds its other end, and died or let go.

    A pipe is noticed however the parent ended, kill -9 included, and on every operating system.
    """
    # The raw file: a daemon thread inside a buffered reader's lock makes the interpreter abort at its end.
    descriptor = (lifeline or sys.stdin.buffer).fileno()

    def wait() -> None:
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:
            pass  # closed under us: the same news
        stop.request()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
