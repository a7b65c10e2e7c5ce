"""A supervised process's own side: it drains when its supervisor is gone, and says when it gets on.

Three things tie it to its supervisor, all of them pipes and folders, which every operating system has:
    * standard input is the lifeline, which ends however the supervisor did;
    * standard output carries a JSON object a line: `{}` for "I got on", fields for what is to be recorded;
    * a folder for temporary files, named in the environment. Whoever of the two lives longer removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from ...common.process.clock import Every
from ...common.process.shutdown import Stop, stop_on_signal, stop_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "BROODMIND_ATTEMPT_FOLDER"
_MARK_EVERY_S = 0.5
_ORPHAN_GRACE_S = 15.0  # for draining, then the session is killed; a living supervisor does that earlier


class Progress:
    """The line to the supervisor. Marks are for one thread: the one whose progress it is."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Without a descriptor everything is said to nobody."""
        self._descriptor = descriptor
        # A mark blocks when nobody reads. At this rate a pipe has room for hours of them.
        self._due = Every(_MARK_EVERY_S)

    def heartbeat(self) -> None:
        """Say that the work got on. To be called where it does, not by a timer: a timer outlives what hangs."""
        if self._due.due():
            self.report()

    def report(self, **fields: object) -> None:
        """Say what is to be recorded of this attempt; a later value of a field replaces an earlier one."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # the supervisor is gone, as the lifeline says too
                os.write(self._descriptor, json.dumps(fields).encode() + b"\n")


class HeartbeatStop(Stop):
    """A Stop for loops that wait for others: one that still asks whether to stop has not hung."""

    def __init__(self, stop: Stop, progress: Progress) -> None:
        super().__init__()
        self._stop, self._progress = stop, progress

    @property
    def requested(self) -> bool:
        """See Stop."""
        self._progress.heartbeat()
        return self._stop.requested

    def request(self) -> None:
        """See Stop."""
        self._stop.request()


@contextlib.contextmanager
def supervised_child() -> Iterator[tuple[Stop, Progress]]:
    """Tie this process to its supervisor. To be entered in the main thread, before anything prints."""
    folder = os.environ.get(FOLDER)

    def remove_folder() -> None:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    progress = Progress(_take_standard_output())
    with stop_on_signal() as stop:
        stop_with_parent(stop, grace_s=_ORPHAN_GRACE_S, last_act=remove_folder)
        try:
            yield stop, progress
        finally:
            remove_folder()


def _take_standard_output() -> int | None:
    """Keep the pipe for ourselves: what games and their processes print goes to standard error from now on."""
    try:
        sys.stdout.flush()
        ours = os.dup(1)  # no other process inherits it
        os.dup2(2, 1)
    except (OSError, AttributeError):  # AttributeError: there is no standard output at all
        return None
    return ours
