"""A child process in a session of its own, the progress it reports, and the folder for its temporary files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ...common.process.clock import monotonic_s, now_ms
from ...common.process.shutdown import end_session
from .progress_pipe import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LINE_BYTES = 1 << 16
_READER_TIMEOUT_S = 2.0  # the pipe is closed when the session ends, unless a process has left the session


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Time limits of a process. None means no limit."""

    no_progress_s: float | None = None  # since its last heartbeat or report
    attempt_s: float | None = None  # since its start


class ChildProcess:
    """A process from its start to its end.

    Args:
        command: the program and its arguments.
        message: the beginning of its standard input; see `Slot`.
        log: the file that its standard error is appended to, and its standard output where it does not report; None:
            it shares ours.
        reports: whether the process uses `supervised_child()`. Its standard output then carries its reports, and it
            gets a folder of its own for temporary files.
    """

    def __init__(self, command: Sequence[str], message: bytes, log: Path | None, *, reports: bool) -> None:
        self.started_s, self.started_ms = monotonic_s(), now_ms()
        self.last_progress_s = self.started_s
        self.reported: dict[str, Any] = {}
        self.warnings: deque[str] = deque()  # reported, and not yet passed on
        self._folder = tempfile.mkdtemp(prefix="broodmind-") if reports else None
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove_folder)
            error = stack.enter_context(log.open("ab")) if log else None
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if reports else error,
                stderr=error,
                env=self._environment(),
                start_new_session=True,  # only the parent gets the signal of Ctrl-C; it then drains its children
            )
            stack.pop_all()
            if error is not None:
                error.close()
        _say(self.process.stdin, message)
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs; the negative of the signal if a signal ended it."""
        return self.process.poll()

    def overdue(self, limits: ProcessLimits) -> tuple[str, str] | None:
        """Outcome and reason if the process has exceeded a limit, otherwise None."""
        now = monotonic_s()
        if limits.no_progress_s and now - self.last_progress_s > limits.no_progress_s:
            return "stalled", f"no progress for {limits.no_progress_s:g} s"
        if limits.attempt_s and now - self.started_s > limits.attempt_s:
            return "overtime", f"still running after {limits.attempt_s:g} s"
        return None

    def release(self) -> None:
        """Close the process's standard input. A supervised process then drains."""
        _close(self.process.stdin)

    def close(self) -> None:
        """Kill all processes of the session, read the remaining reports, and remove the temporary folder."""
        kill_session(self.process)
        self.release()
        self._reader.join(_READER_TIMEOUT_S)
        self._remove_folder()

    def _read(self, pipe: IO[bytes] | None) -> None:
        if pipe is None:
            return
        with contextlib.suppress(ValueError, OSError), pipe:
            while line := pipe.readline(_LINE_BYTES):
                self.last_progress_s = monotonic_s()
                with contextlib.suppress(ValueError):  # not a report, but something the process printed
                    reported = json.loads(line)
                    if isinstance(reported, dict):
                        if "warning" in reported:
                            self.warnings.append(str(reported.pop("warning")))
                        self.reported |= reported

    def _environment(self) -> dict[str, str] | None:
        if self._folder is None:
            return None
        return {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP", FOLDER), self._folder)}

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a child process and all processes of its session. They are found by process id, never by name."""
    end_session(process.pid)
    process.kill()
    process.wait()


def _say(pipe: IO[bytes] | None, message: bytes) -> None:
    """Write a message to a pipe. If the process has ended already, its exit code tells so, and errors are ignored."""
    if pipe is not None and message:
        with contextlib.suppress(BrokenPipeError, OSError):
            pipe.write(message)
            pipe.flush()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
