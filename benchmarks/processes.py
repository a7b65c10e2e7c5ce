"""Runs a command and measures its output, its processes and their memory."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLE_S = 0.2  # a sample of a dozen processes takes a few milliseconds of one core
END_S = 10.0  # time for a command to end when it is asked to


@dataclass(frozen=True, slots=True)
class Watched:
    """The result of a watched command.

    Args:
        seconds: from its start until `heard` returned True, or it ended, or the limit was reached.
        content: whether `heard` returned True.
        exit_code: its exit code; None if it was ended by `watch`.
        peak_mb: the largest sum of resident memory of all its processes; shared pages count in each.
        processes: the largest number of its processes.
    """

    seconds: float
    content: bool
    exit_code: int | None
    peak_mb: float
    processes: int


def watch(command: list[str], folder: Path, heard: Callable[[str], bool], limit_s: float) -> Watched:
    """Run a command until `heard` returns True, and end it with all its processes.

    Args:
        command: the command; its standard error is written to `folder / "log"`.
        folder: its working directory.
        heard: called with each line of its standard output; returns True to end the command.
        limit_s: time limit in seconds.
    """
    began_s = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log)
    tree = _Tree(psutil.Process(process.pid))
    unread, content, ended, exit_code, seconds = b"", False, False, None, 0.0
    with process, selectors.DefaultSelector() as selector:
        assert process.stdout
        selector.register(process.stdout, selectors.EVENT_READ)
        try:
            while not content and not ended and seconds < limit_s:
                if selector.select(tree.due_in_s()):
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    *lines, unread = (unread + data).split(b"\n")
                    content = any(heard(line.decode()) for line in lines)
                    ended = not data
                seconds = time.perf_counter() - began_s
                tree.sample_if_due()
            exit_code = process.wait(END_S) if ended else None
        finally:
            tree.end()
    return Watched(seconds, content, exit_code, tree.peak_mb, tree.processes)


class _Tree:
    """A process and its descendants, including those whose parent has ended since they were found."""

    def __init__(self, root: psutil.Process) -> None:
        self._root, self._seen, self._due_s = root, {root}, 0.0
        self.peak_mb, self.processes = 0.0, 0

    def due_in_s(self) -> float:
        return max(0.0, self._due_s - time.perf_counter())

    def sample_if_due(self) -> None:
        if self.due_in_s():
            return
        self._due_s = time.perf_counter() + SAMPLE_S
        self._look()
        resident = [_resident(each) for each in self._seen]
        self.peak_mb = max(self.peak_mb, sum(resident) / 1e6)
        self.processes = max(self.processes, sum(each > 0 for each in resident))

    def end(self) -> None:
        """Send SIGINT to the root process, wait, and kill the processes that have not ended."""
        self._look()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._root.send_signal(signal.SIGINT)
        _, living = psutil.wait_procs(self._seen, END_S)
        for each in living:
            each.kill()
        psutil.wait_procs(living)

    def _look(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.update(self._root.children(recursive=True))


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
