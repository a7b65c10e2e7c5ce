"""Keeps processes running: staggered starts, restarts with backoff, an end when one keeps failing.

A child's standard input is its lifeline: it drains when the pipe ends, and the pipe ends however its parent did.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from ..common.clock import monotonic_s
from ..common.errors import ConfigError, ProcessFailed, RedisDenied, SpecMismatch
from ..common.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_log = Log("supervisor")

_BACKOFF_S = (0.5, 30.0)  # first and longest pause before a restart
_HEALTHY_S = 30.0  # after so long a run, a failure counts as a first one again
_TRIES = 5  # failures in a row after which a slot is given up
# A restart would meet the same again. 2 is a usage error.
_HOPELESS = {2, ConfigError.exit_code, RedisDenied.exit_code, SpecMismatch.exit_code}


@dataclass(slots=True)
class Slot:
    """One process that should be running."""

    name: str
    command: Sequence[str]
    log: Path | None = None  # where its standard error goes; None: to ours
    first_delay_s: float = 0.0  # staggers the starts of many heavy games
    restart: bool = True  # False: its end, with exit code 0, is the end it should have
    attempt: int = 0
    failures: int = 0
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0  # of the last attempt
    next_s: float = 0.0  # before which the next attempt is not due

    @property
    def exit_code(self) -> int | None:
        """Of the last attempt; None while it runs or before it was started."""
        return self.process.poll() if self.process else None


class Supervisor:
    """Starts its slots, and looks after them each time `poll` is called."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = list(slots)
        now = monotonic_s()
        for slot in self.slots:
            slot.next_s = now + slot.first_delay_s

    def poll(self) -> None:
        """Start what is due, and plan the restart of what ended.

        Raises:
            ProcessFailed: if a slot fails too often, or in a way no restart mends; `exit_code` is the child's.
        """
        now = monotonic_s()
        for slot in self.slots:
            if slot.process is None:
                if now >= slot.next_s:
                    self._start(slot, now)
            elif (code := slot.process.poll()) is not None and (slot.restart or code != 0):
                self._plan_restart(slot, code, now)

    def stop(self, grace_s: float = 10.0) -> None:
        """Let all processes drain, and kill the sessions of those that have not after `grace_s`."""
        running = [slot.process for slot in self.slots if slot.process is not None]
        for process in running:
            _close(process.stdin)
        deadline = monotonic_s() + grace_s
        for process in running:
            try:
                process.wait(max(deadline - monotonic_s(), 0.01))
            except subprocess.TimeoutExpired:
                _log.warning("did not drain in time, killed", pid=process.pid)
            kill_session(process)

    @staticmethod
    def _start(slot: Slot, now: float) -> None:
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(slot.log.open("ab")) if slot.log else None
            slot.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                list(slot.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL if slot.log else None,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, which then drains its children in order
            )
        slot.started_s = now
        _log.debug("started", name=slot.name, pid=slot.process.pid, attempt=slot.attempt)

    @staticmethod
    def _plan_restart(slot: Slot, code: int, now: float) -> None:
        assert slot.process is not None
        kill_session(slot.process)  # what it left behind
        _close(slot.process.stdin)
        slot.failures = 1 if now - slot.started_s > _HEALTHY_S else slot.failures + 1
        if code in _HOPELESS or slot.failures >= _TRIES:
            error = ProcessFailed(f"{slot.name}: exit code {code}, expected it to go on{_last_words(slot.log)}")
            error.exit_code = code if code > 0 else ProcessFailed.exit_code
            raise error
        pause = min(_BACKOFF_S[0] * 2 ** (slot.failures - 1), _BACKOFF_S[1])
        _log.warning("ended, starting it again", name=slot.name, code=code, pause_s=pause)
        slot.attempt += 1
        slot.process, slot.next_s = None, now + pause


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """End a child and everything in its session, by its own id and never by name."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in it
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def wait_all(supervisor: Supervisor, requested: Callable[[], bool], poll_s: float = 0.1) -> None:
    """Look after the slots until told to stop."""
    while not requested():
        supervisor.poll()
        time.sleep(poll_s)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _last_words(log: Path | None) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log and log.exists() else []
    return f": {lines[-1]}" if lines else ""
