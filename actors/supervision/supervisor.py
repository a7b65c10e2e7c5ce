"""Keeps processes running: staggered starts, time limits, restarts with backoff, a pause after repeated failures.

A child drains when its standard input is closed. That happens when its parent ends, even if the parent is killed.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ...common.errors import (
    BroodmindError,
    ConfigError,
    GameError,
    NothingTrained,
    ProcessFailed,
    RedisDenied,
    SpecMismatch,
)
from ...common.process.backoff import Backoff
from ...common.process.clock import Every, monotonic_s
from ...common.process.log import Log
from .attempt_log import ProcessRecord, append, record
from .child_process import ChildProcess, ProcessLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_log = Log("supervisor")

_RESTART_S = (0.5, 30.0)  # first and longest pause before a restart
_HEALTHY_S = 30.0
_MAX_FAILURES = 5  # failures in a row after which a slot is paused or given up
# These errors would occur again after a restart. 2 is a usage error.
_FATAL = {error.exit_code: error for error in (ConfigError, RedisDenied, SpecMismatch, NothingTrained)}
_FATAL_EXIT_CODES = {2, *_FATAL}
_TOLD = "broodmind: "  # how a process begins its last line, in which it says why it ends
_PLACE = re.compile(r"\(([^()]+:\d+)[^()]*\)$")  # file and line in a game's code, at the end of a GameError
_WARN_EVERY_S = 30.0  # the same warning of several processes


@dataclass(slots=True)
class Slot:
    """One process that should be running."""

    name: str
    command: Sequence[str]
    message: bytes = field(default=b"", repr=False)  # the first line of its standard input; may hold a password
    log: Path | None = None  # the file for what it prints, to standard error or output; None: it shares ours
    first_delay_s: float = 0.0  # delay of the first start, so that many heavy games do not start at once
    restart: bool = True  # False: it is not started again after exit code 0
    reports: bool = False  # whether it reports progress; see `supervised_child`
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    essential: bool = True  # False: the others go on without it where it would end the supervisor
    failures: int = 0  # in a row
    attempt: ChildProcess | None = None
    next_s: float = 0.0  # the earliest time of the next attempt
    place: str = ""  # where in the game's code the last attempt failed
    given_up: BroodmindError | None = None  # set when the slot will not be started again

    @property
    def exit_code(self) -> int | None:
        """The exit code of the current attempt; None while it runs and before it was started."""
        return self.attempt.exit_code if self.attempt else None


class Supervisor:
    """Starts the processes of its slots and watches them. The caller must call `poll` again and again.

    Args:
        slots: the processes.
        pause_s: the pause before the next attempt of a slot that failed too often in a row (five times, or twice at
            one place of a game's own code), while the other slots continue; None: such a failure ends the supervisor.
        records: a file that the record of every attempt is appended to.
        restart_s: the first and the longest pause before a restart.
        healthy_s: after making progress for this long, a failure counts as the first one again.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        pause_s: float | None = None,
        records: Path | None = None,
        restart_s: tuple[float, float] = _RESTART_S,
        healthy_s: float = _HEALTHY_S,
    ) -> None:
        self.slots = list(slots)
        self._pause_s, self._records = pause_s, records
        self._restart_backoff, self._healthy_s = Backoff(*restart_s), healthy_s
        now = monotonic_s()
        for slot in self.slots:
            slot.next_s = now + slot.first_delay_s
        self._warned: dict[str, Every] = {}

    def poll(self) -> None:
        """Start the processes that are due, kill those over a limit, and schedule the restart of those that ended.

        Raises:
            ConfigError, RedisDenied, SpecMismatch, NothingTrained: if an essential slot ended with this error, which a
                restart cannot repair. With `pause_s`: only if all of them did.
            ProcessFailed: if an essential slot failed too often in a row; `exit_code` is the child's.
        """
        for slot in self.slots:
            attempt = slot.attempt
            if attempt is not None:
                self._pass_on_warnings(slot, attempt)
            if attempt is None:
                if slot.given_up is None and monotonic_s() >= slot.next_s:
                    self._start(slot)
            elif (code := attempt.exit_code) is not None:
                if slot.restart or code != 0:
                    self._schedule_restart(slot, self._close_attempt(slot, attempt))
            elif (ended := attempt.overdue(slot.limits)) is not None:
                self._schedule_restart(slot, self._close_attempt(slot, attempt, ended))
        given_up = [slot.given_up for slot in self.slots if slot.essential]
        if (first := next(iter(given_up), None)) is not None and None not in given_up:
            raise first

    def stop(self, grace_s: float = 10.0) -> None:
        """Let all processes drain, and kill those (with their sessions) that still run after `grace_s` seconds."""
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
            self._close_attempt(slot, attempt, ended)

    def _start(self, slot: Slot) -> None:
        try:
            slot.attempt = ChildProcess(slot.command, slot.message, slot.log, reports=slot.reports)
        except OSError as error:  # out of memory, or no space for its folder; the other slots can continue
            if self._pause_s is None:
                raise
            _log.warning("not started", name=slot.name, error=error, pause_s=self._pause_s)
            slot.next_s = monotonic_s() + self._pause_s
        else:
            _log.debug("started", name=slot.name, pid=slot.attempt.process.pid)

    def _close_attempt(self, slot: Slot, attempt: ChildProcess, ended: tuple[str, str] | None = None) -> ProcessRecord:
        """Kill what is left of an attempt, remove its files, and record it."""
        attempt.close()
        slot.attempt = None
        line = record(slot.name, attempt, ended)
        if self._records is not None and slot.reports:
            try:
                append(self._records, line)
            except OSError as error:  # games continue when the disk is full
                _log.warning("attempt not recorded", error=error, **asdict(line))
        if line.exit_code == 0:
            slot.failures = 0
        elif attempt.last_progress_s - attempt.started_s > self._healthy_s:
            slot.failures = 1
        else:
            slot.failures += 1
        return line

    def _pass_on_warnings(self, slot: Slot, attempt: ChildProcess) -> None:
        """Log what a process has reported as a warning, unless another one has just reported the same.

        A process without a log of its own has written it where we write too.
        """
        while attempt.warnings:
            text = attempt.warnings.popleft()
            new = self._warned.setdefault(_without_numbers(text), Every(_WARN_EVERY_S)).due()
            if new and slot.log is not None:
                _log.warning(text, name=slot.name)

    def _schedule_restart(self, slot: Slot, last: ProcessRecord) -> None:
        told = _told(slot, last)
        place, before = _place(told) if last.exit_code == GameError.exit_code else "", slot.place
        slot.place = place
        fatal = last.exit_code in _FATAL_EXIT_CODES
        too_often = slot.failures >= _MAX_FAILURES or (slot.failures > 1 and place != "" and place == before)
        if fatal or (too_often and self._pause_s is None):
            error = _error(last.exit_code, _why_failed(slot, last, told), own_words=bool(told))
            if self._pause_s is None and slot.essential:
                raise error
            slot.given_up = error
            _log.warning("given up: a restart cannot repair this", name=slot.name, reason=last.reason)
            return
        pause_s = self._restart_backoff.after_s(max(slot.failures, 1))
        if too_often and self._pause_s is not None:
            pause_s = self._pause_s
            reason = told or last.reason
            _log.warning("paused", name=slot.name, failures=slot.failures, reason=reason, pause_s=pause_s)
        elif last.exit_code != 0:
            log: dict[str, object] = {} if slot.log is None else {"log": slot.log}
            _log.warning(
                "process ended, restarting",
                **{"name": slot.name, "reason": told or last.reason, "pause_s": round(pause_s, 2), **log},
            )
        slot.next_s = monotonic_s() + pause_s


def _error(exit_code: int | None, why: str, *, own_words: bool) -> BroodmindError:
    """The error that ended a process: its own, if it said so and a restart would end with it again."""
    if own_words and exit_code in _FATAL:
        return _FATAL[exit_code](why)
    error = ProcessFailed(why)
    error.exit_code = exit_code or ProcessFailed.exit_code
    return error


def wait_all(supervisor: Supervisor, requested: Callable[[], bool], poll_s: float = 0.1) -> None:
    """Call the supervisor's `poll` every `poll_s` seconds until `requested` returns True."""
    while not requested():
        supervisor.poll()
        time.sleep(poll_s)


def _told(slot: Slot, last: ProcessRecord) -> str:
    """Why the last attempt ended, in its own words; nothing if it ended without any."""
    if not last.exit_code:
        return ""
    if last.exit_code == GameError.exit_code and slot.log is None:
        return last.reason  # as it reported; otherwise in its log, also if it does not report
    line = _last_log_line(slot.log)
    return line.removeprefix(_TOLD) if line.startswith(_TOLD) else ""


def _why_failed(slot: Slot, last: ProcessRecord, told: str) -> str:
    """The message for the user. A mistake in the settings needs no log, and no name of a process."""
    if told and last.exit_code in {2, ConfigError.exit_code, NothingTrained.exit_code}:
        return told
    what = f"exited with code {last.exit_code}" if last.exit_code else f"failed: {last.reason}"
    said = told or _last_log_line(slot.log)
    log = f" (log: {slot.log})" if slot.log is not None else ""
    return f"{said}{log}" if told else f"{slot.name} {what}{f': {said}' if said else ''}{log}"


def _place(told: str) -> str:
    """File and line of an error in a game's code, or else its text without numbers, which may differ each time."""
    found = _PLACE.search(told)
    return found[1] if found else _without_numbers(told)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _last_log_line(log: Path | None) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log and log.exists() else []
    return lines[-1] if lines else ""
