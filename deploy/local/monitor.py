"""Monitors a local run from its start to its end, and shows its progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...common.errors import RedisUnreachable
from ...common.process.clock import Every, now_ms
from ..observe.all_rejected import AllRejected
from ..observe.progress_display import make_progress
from ..observe.run_view import look
from .peak_memory import PeakMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...actors.supervision.supervisor import Supervisor
    from ...common.process.shutdown import Stop
    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..observe.progress_figures import LocalRun
    from ..observe.run_view import RunView
    from ..recording.live_record import LiveRecord
    from .embedded_server import EmbeddedServer

_POLL_S = 0.02
_END_S = 5.0  # if the server does not answer, its guard has this time to end too
_LOOK_EVERY_S = 0.1
_MEMORY_EVERY_S = 0.5


@dataclass(slots=True)
class Seen:
    """What was observed of a run."""

    memory: PeakMemory = field(default_factory=PeakMemory)
    steps_before: int | None = None  # trained before this start; None until the learner has reported it
    ended_ms: int = 0  # when training was over, or a stop was requested


def follow(
    server: Server,
    keys: Keys,
    supervisor: Supervisor,
    embedded: EmbeddedServer | None,
    stop: Stop,
    began_ms: int,
    run: LocalRun,
    record: LiveRecord,
    goes_on: Callable[[], bool] = lambda: True,
) -> Seen:
    """Supervise the processes and show their progress, until the run is over or a stop is requested.

    The run is over when the learner, which is the first slot, ends with exit code 0. If `goes_on` returns False, a stop
    is requested.

    Raises:
        ProcessFailed: if the server ended, or another process failed too often.
        NothingTrained: if all play is rejected.
    """
    seen = Seen()
    rejected = AllRejected()
    look_due, memory_due = Every(_LOOK_EVERY_S), Every(_MEMORY_EVERY_S)
    learner = supervisor.slots[0]
    with make_progress(run) as progress:
        while not stop.requested and learner.exit_code != 0:
            if embedded is not None:
                embedded.check()
            supervisor.poll()
            if memory_due.due():
                seen.memory.sample()
            if look_due.due():
                try:
                    view = look(server, keys)
                except RedisUnreachable:
                    if embedded is not None:
                        embedded.check(_END_S)
                    raise
                if int(view.stats.get("updated_ms", 0)) >= began_ms:  # and not the statistics of an earlier learner
                    if seen.steps_before is None:
                        seen.steps_before = int(view.stats["resumed_steps"])
                        progress.note(_begun(view, seen.steps_before))
                    seconds = (now_ms() - began_ms) / 1000
                    rejected.check(view, seconds)
                    progress.show(view, seconds)
                    record.look(seconds, seen.steps_before)
                    if not goes_on():
                        stop.request()
            time.sleep(_POLL_S)
        seen.ended_ms = now_ms()
        progress.note("stopping" if stop.requested else "training is over")
    return seen


def _begun(view: RunView, steps_before: int) -> str:
    """A line of how the run began."""
    run, version = view.stats["run"], view.stats["version"]
    if steps_before:
        return f"run {run} resumed after {steps_before:,} steps, at version {version}"
    if int(view.stats.get("resumed_version", 0)):
        return f"run {run} resumed at version {version}, before anything was trained"
    return f"run {run} created"
