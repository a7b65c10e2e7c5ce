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
    """A flag that asks a process to end. It is no threading.Event, whose lock can deadlock inside a signal handler."""

    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether the process should finish its current work and end. Every loop checks this in each iteration."""
        return self._requested

    def request(self) -> None:
        """Ask the process to finish its current work and end."""
        self._requested = True


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Yield a Stop that SIGINT and SIGTERM request. A second signal ends the process at once.

    The earlier signal handlers are restored at the end. In another thread than the main one, which no signal reaches,
    it is a plain Stop.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.requested:
            # Not sys.exit: it would first run the cleanup of the code that drains, which may hang.
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
    """Request the stop when `lifeline` (standard input) ends, because the parent process ended or closed this pipe.

    This works on every operating system, and for every end of the parent, kill -9 included. With `grace_s`, a process
    that still runs after this time calls `last_act` and kills its whole session, because no parent is left to do so.
    """
    # Not a buffered reader: the interpreter aborts at exit if a daemon thread holds the lock of one.
    descriptor = (lifeline or sys.stdin.buffer).fileno()

    def wait() -> None:
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:
            pass  # the pipe was closed in this process; this means the same
        stop.request()
        if grace_s is not None:
            time.sleep(grace_s)
            if last_act is not None:
                last_act()
            end_session(os.getpid())
            os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def end_session(pid: int) -> None:
    """Kill all processes of the session that `pid` leads. If it leads none, nothing happens.

    On Windows, which has no sessions, the process and its descendants are killed.
    """
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a fixed command and a number
    else:
        # A process group has the id of its leader, and exists after the end of its leader as long as it has members.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
