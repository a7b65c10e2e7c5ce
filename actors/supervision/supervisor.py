"""Keeps processes running: staggered starts, limits, restarts with backoff, a pause where one keeps failing.

A child's standard input is its lifeline: it drains when the pipe ends, and the pipe ends however its parent did.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ...common.errors import ConfigError, ProcessFailed, RedisDenied, SpecMismatch
from ...common.process.backoff import Backoff
from ...common.process.clock import monotonic_s
from ...common.process.log import Log
from .attempt_log import ProcessRecord, append, record
from .child_process import Child, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_log = Log("supervisor")

_BACKOFF_S = (0.5, 30.0)  # first and longest pause before a restart
_HEALTHY_S = 30.0  # after getting on for so long, a failure counts as a first one again
_TRIES = 5  # failures in a row after which a slot is paused or given up
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
    reports: bool = False  # whether it says when it gets on; see `supervised`
    limits: Limits = field(default_factory=Limits)
    failures: int = 0  # in a row
    attempt: Child | None = None
    next_s: float = 0.0  # before which the next attempt is not due
    given_up: ProcessFailed | None = None

    @property
    def exit_code(self) -> int | None:
        """Of the attempt; None while it runs or before it was started."""
        return self.attempt.exit_code if self.attempt else None


class Supervisor:
    """Starts its slots, and looks after them each time `poll` is called.

    Args:
        slots: the processes.
        pause_s: how long a slot that failed too often in a row rests before it is tried again, while the others go
            on; None: its failure is the supervisor's.
        records: a file to record every attempt in.
    """

    def __init__(self, slots: Sequence[Slot], pause_s: float | None = None, records: Path | None = None) -> None:
        self.slots = list(slots)
        self._pause_s, self._records = pause_s, records
        now = monotonic_s()
        for slot in self.slots:
            slot.next_s = now + slot.first_delay_s

    def poll(self) -> None:
        """Start what is due, end what is overdue, and plan the restart of what ended.

        Raises:
            ProcessFailed: if a slot fails too often, or in a way no restart mends; `exit_code` is the child's. With
                `pause_s` only once all slots failed in a way no restart mends.
        """
        for slot in self.slots:
            attempt = slot.attempt
            if attempt is None:
                if slot.given_up is None and monotonic_s() >= slot.next_s:
                    self._start(slot)
            elif (code := attempt.exit_code) is not None:
                if slot.restart or code != 0:
                    self._plan(slot, self._settle(slot, attempt))
            elif (ended := attempt.overdue(slot.limits)) is not None:
                self._plan(slot, self._settle(slot, attempt, ended))
        if all(slot.given_up for slot in self.slots):
            for slot in self.slots:
                raise slot.given_up or ProcessFailed(slot.name)

    def stop(self, grace_s: float = 10.0) -> None:
        """Let all processes drain, and kill the sessions of those that have not after `grace_s`."""
        running = [(slot, slot.attempt) for slot in self.slots if slot.attempt is not None]
        for _, attempt in running:
            attempt.release()
        deadline = monotonic_s() + grace_s
        for slot, attempt in running:
            ended = None
            try:
                attempt.process.wait(max(deadline - monotonic_s(), 0.01))
            except subprocess.TimeoutExpired:
                _log.warning("did not drain in time, killed", pid=attempt.process.pid)
                ended = "aborted", f"did not drain within {grace_s:g} s"
            self._settle(slot, attempt, ended)

    def _start(self, slot: Slot) -> None:
        try:
            slot.attempt = Child(slot.command, slot.log, reports=slot.reports)
        except OSError as error:  # no memory, no room for its folder: the others have theirs
            if self._pause_s is None:
                raise
            _log.warning("not started", name=slot.name, error=error, pause_s=self._pause_s)
            slot.next_s = monotonic_s() + self._pause_s
        else:
            _log.debug("started", name=slot.name, pid=slot.attempt.process.pid)

    def _settle(self, slot: Slot, attempt: Child, ended: tuple[str, str] | None = None) -> ProcessRecord:
        """Close an attempt: nothing of it is left, and it is on record."""
        attempt.close()
        slot.attempt = None
        line = record(slot.name, attempt, ended)
        if self._records is not None and slot.reports:
            try:
                append(self._records, line)
            except OSError as error:  # a full disk is no reason to end games
                _log.warning("attempt not recorded", error=error, **asdict(line))
        if line.exit_code == 0:
            slot.failures = 0
        elif attempt.last_progress_s - attempt.started_s > _HEALTHY_S:
            slot.failures = 1
        else:
            slot.failures += 1
        return line

    def _plan(self, slot: Slot, last: ProcessRecord) -> None:
        hopeless = last.exit_code in _HOPELESS
        if hopeless or (slot.failures >= _TRIES and self._pause_s is None):
            error = ProcessFailed(f"{slot.name}: {last.reason}, expected it to go on{_last_words(slot.log)}")
            error.exit_code = last.exit_code or ProcessFailed.exit_code
            if self._pause_s is None:
                raise error
            slot.given_up = error
            _log.warning("given up, for no restart would mend it", name=slot.name, reason=last.reason)
            return
        pause_s = Backoff(*_BACKOFF_S).after_s(max(slot.failures, 1))
        if slot.failures >= _TRIES and self._pause_s is not None:
            pause_s = self._pause_s
            _log.warning("paused", name=slot.name, failures=slot.failures, reason=last.reason, pause_s=pause_s)
        elif last.exit_code != 0:
            _log.warning("ended, starting it again", name=slot.name, reason=last.reason, pause_s=round(pause_s, 2))
        slot.next_s = monotonic_s() + pause_s


def wait_all(supervisor: Supervisor, requested: Callable[[], bool], poll_s: float = 0.1) -> None:
    """Look after the slots until told to stop."""
    while not requested():
        supervisor.poll()
        time.sleep(poll_s)


def _last_words(log: Path | None) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log and log.exists() else []
    return f": {lines[-1]}" if lines else ""
