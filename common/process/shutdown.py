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
    """A stop request, as a plain flag. A threading.Event would be wrong: its lock can deadlock in a signal handler."""

    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether a stop was requested. Every loop checks this at each turn."""
        return self._requested

    def request(self) -> None:
        """Request that the loop finishes its work in hand and ends."""
        self._requested = True


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Give a Stop that SIGINT and SIGTERM set. A second signal ends the process at once.

    Must be entered in the main thread. The earlier handlers are restored at the end.
    """
    stop = Stop()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.requested:
            # Not sys.exit, which runs the cleanup of the code that is draining; that code may be what hangs.
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
    """Request the stop when the pipe `lifeline` (standard input) ends: the parent has ended or closed its end.

    A pipe ends however the parent ended, also by kill -9, and on every operating system. With `grace_s`, a process that
    still runs after this time calls `last_act` and kills its whole session, because no parent is left to do it.
    """
    # The raw file: if a daemon thread holds a buffered reader's lock, the interpreter aborts when it exits.
    descriptor = (lifeline or sys.stdin.buffer).fileno()

    def wait() -> None:
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:
            pass  # the descriptor was closed: treated like the end of the pipe
        stop.request()
        if grace_s is not None:
            time.sleep(grace_s)
            if last_act is not None:
                last_act()
            end_session(os.getpid())
            os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def end_session(pid: int) -> None:
    """Kill all processes of the session that `pid` leads. Does nothing if it does not lead a session.

    Processes are found by id and never by name. On Windows, which has no sessions, the process's descendants are
    killed.
    """
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a fixed command and a number
    else:
        # The process group has the leader's id, and exists as long as any process is in it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
