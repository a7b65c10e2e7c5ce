"""One attempt of a slot: a process in a session of its own, what it reports, and the folder for its temporary files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ...common.process.clock import monotonic_s, now_ms
from ...common.process.shutdown import end_session
from .progress_pipe import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LINE_BYTES = 1 << 16
_READER_S = 2.0  # the pipe ends with the session, unless something left it


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an attempt may take."""

    no_progress_s: float | None = None  # without a word from the process
    attempt_s: float | None = None  # altogether


class Child:
    """A process from its start to its end.

    Args:
        command: what to run.
        log: where its standard error goes; None: to ours.
        reports: whether it is one that `supervised()` ties to us. Standard output is then its report, and it has a
            folder of its own for temporary files.
    """

    def __init__(self, command: Sequence[str], log: Path | None, *, reports: bool) -> None:
        self.started_s, self.started_ms = monotonic_s(), now_ms()
        self.last_progress_s = self.started_s
        self.reported: dict[str, Any] = {}
        self._folder = tempfile.mkdtemp(prefix="broodmind-") if reports else None
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove_folder)
            error = stack.enter_context(log.open("ab")) if log else None
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if reports else subprocess.DEVNULL if log else None,
                stderr=error,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for the parent, which then drains its children in order
            )
            stack.pop_all()
            if error is not None:
                error.close()
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """None while the process runs; negative for the signal that ended it."""
        return self.process.poll()

    def overdue(self, limits: Limits) -> tuple[str, str] | None:
        """Outcome and reason, if the process should not run any longer."""
        now = monotonic_s()
        if limits.no_progress_s and now - self.last_progress_s > limits.no_progress_s:
            return "stalled", f"no progress for {limits.no_progress_s:g} s"
        if limits.attempt_s and now - self.started_s > limits.attempt_s:
            return "overtime", f"still running after {limits.attempt_s:g} s"
        return None

    def release(self) -> None:
        """Let go of the lifeline: the process drains."""
        _close(self.process.stdin)

    def close(self) -> None:
        """End whatever is left of the session, take in what was still reported, and clean up."""
        kill_session(self.process)
        self.release()
        self._reader.join(_READER_S)
        self._remove_folder()

    def _read(self, pipe: IO[bytes] | None) -> None:
        if pipe is None:
            return
        with contextlib.suppress(ValueError, OSError), pipe:
            while line := pipe.readline(_LINE_BYTES):
                self.last_progress_s = monotonic_s()
                with contextlib.suppress(ValueError):  # no line of ours
                    said = json.loads(line)
                    if isinstance(said, dict):
                        self.reported |= said

    def _environment(self) -> dict[str, str] | None:
        if self._folder is None:
            return None
        return {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP", FOLDER), self._folder)}

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """End a child and everything in its session, by its own id and never by name."""
    end_session(process.pid)
    process.kill()
    process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
