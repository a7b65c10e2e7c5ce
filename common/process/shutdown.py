"""Shutdown of a process: the first signal asks it to drain, the second ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Stop:
    """A plain flag. A threading.Event would be wrong: its lock can deadlock inside a signal handler."""

    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether to finish what is held and leave. Every loop asks this at each turn."""
        return self._requested

    def request(self) -> None:
        """Ask the loop to finish what it holds and leave."""
        self._requested = True


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


def stop_with_parent(
    stop: Stop,
    lifeline: BinaryIO | None = None,
    *,
    grace_s: float | None = None,
    last_act: Callable[[], None] | None = None,
) -> None:
    """Request the stop when `lifeline` (standard input) ends: the parent holds its other end, and died or let go.

    A pipe is noticed however the parent ended, kill -9 included, and on every operating system. With `grace_s`, a
    process that still runs after so long does its `last_act` and ends with all of its session: nobody else would.
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
        if grace_s is not None:
            time.sleep(grace_s)
            if last_act is not None:
                last_act()
            end_session(os.getpid())
            os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def end_session(pid: int) -> None:
    """Kill all processes of the session that `pid` leads; nothing, where it leads none.

    By its own id and never by name. Where there are no sessions it is the process's descendants.
    """
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a fixed command and a number
    else:
        # No group has a pid that leads none; a group outlives its leader as long as anybody is in it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
