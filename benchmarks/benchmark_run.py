"""A run as its users start it, each part in processes of its own, and what is seen of it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click
import numpy as np
import psutil
from servers import Machine, binaries

from broodmind.common.server.keys import Keys
from broodmind.deploy.observe.run_view import look
from broodmind.learner.ledger.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from broodmind.deploy.observe.run_view import RunView

RUN = "benchmark"
_SILENT_S = 60.0  # without a commit, the run is taken to be dead
_POLL_S = 0.01
_END_S = 30.0


def on_cores(count: int) -> int:
    """Keep this process, and all it starts from now on, to so many cores; returns how many there are of these."""
    allowed = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, allowed)
    return len(allowed)


@dataclass(frozen=True, slots=True)
class CommitSample:
    """A run at a commit."""

    at_s: float  # when it was seen
    version_id: str  # in the versions stream
    counters: Counters
    cpu_s: dict[str, float]  # spent so far, by part


@dataclass(frozen=True, slots=True)
class Window:
    """What happened from one commit to another, some seconds later."""

    seconds: float
    counted: Counters  # what was added to the run's
    updates: list[dict[str, str]]  # what the versions stream says of each; at most the last thousand
    cores: dict[str, float]  # that each part kept busy, by its name
    backlog: list[int]  # entries in all streams, at each look
    lag: list[int]  # of these, not yet read

    @property
    def steps_per_second(self) -> float:
        """Environment steps that were trained on and committed."""
        return self.counted.steps / self.seconds

    @property
    def entries_per_second(self) -> float:
        """Trajectories that were trained on and committed."""
        return self.counted.accepted / self.seconds

    @property
    def staleness_p95(self) -> float:
        """In versions: over the updates, the 95th percentile of each batch's own."""
        return float(np.percentile(self.metric("batch_staleness_p95"), 95))

    def metric(self, name: str) -> list[float]:
        """A figure of each update that has it."""
        return [float(update[name]) for update in self.updates if name in update]

    def detail(self) -> dict[str, object]:
        """What a reader of a figure may want to know beside it."""
        rejected = sum(self.counted.rejected().values())
        return {
            "seconds": round(self.seconds, 2),
            "updates": self.counted.updates,
            "rejected": round(rejected / max(self.counted.accepted + rejected, 1), 4),  # of the entries consumed
            "cores": {name: round(used, 2) for name, used in self.cores.items()},
            # What each part would do with a core to itself: the least is the bottleneck of an idle machine.
            "steps_a_core_second": {name: round(self.steps_per_second / used) for name, used in self.cores.items()},
        }


class BenchmarkRun:
    """A run that is on; a context manager, all of whose processes have ended when it is left.

    Args:
        learner: options of `broodmind learner`, a game among them.
        actors: options of `broodmind actors`; None: whoever made this has actors of another kind.
        server: which of the servers.
    """

    def __init__(self, learner: Sequence[str], actors: Sequence[str] | None, server: str = "Valkey") -> None:
        self.keys = Keys(RUN)
        with ExitStack() as stack:
            self._logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broodmind-")))
            machine = stack.enter_context(Machine(binaries()[server]))
            self.url, self.server = machine.url, machine.connect()
            stack.callback(self.server.close)
            self._parts: dict[str, list[subprocess.Popen[bytes]]] = {"server": [machine.process]}
            self._stack = stack
            self._command("learner", learner)
            if actors is not None:
                self._command("actors", actors)
            self._stack = stack.pop_all()

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """One more process of a part; the last that was started is the first to be ended."""
        with (self._logs / name).open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        self._stack.callback(end, process)
        self._parts.setdefault(name, []).append(process)
        return process

    def _command(self, name: str, options: Sequence[str]) -> None:
        module = (sys.executable, "-m", "broodmind.deploy.cli")
        self.start(name, *module, name, "--redis", self.url, "--run", RUN, *options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def warm_up(self, seconds: float) -> None:
        """Wait for the first update, and then so long. Raises ClickException if it does not come."""
        while self.next_commit().counters.updates == 0:
            pass
        time.sleep(seconds)

    def window(self, seconds: float, look_every_s: float = 0.5) -> Window:
        """Watch from the next commit on for so long, and then until there is another one."""
        first = self.next_commit()
        views: list[RunView] = []
        while (left_s := first.at_s + seconds - time.perf_counter()) > 0:
            time.sleep(min(look_every_s, left_s))
            views.append(look(self.server, self.keys))
        last = self.next_commit()
        took_s, before = last.at_s - first.at_s, first.counters.to_fields()
        entries = self.server.call("XRANGE", self.keys.versions, f"({first.version_id}", last.version_id)
        return Window(
            seconds=took_s,
            counted=Counters(**{name: now - before[name] for name, now in last.counters.to_fields().items()}),
            updates=[_mapping(raw) for _, raw in entries],
            cores={name: (spent - first.cpu_s[name]) / took_s for name, spent in last.cpu_s.items()},
            backlog=[view.backlog for view in views],
            lag=[view.lag for view in views],
        )

    def next_commit(self) -> CommitSample:
        """Wait for one. Raises ClickException if it does not come, with what the processes said."""
        before, deadline = self.server.call("HGET", self.keys.head, "commit"), time.monotonic() + _SILENT_S
        while True:
            head = _mapping(self.server.call("HGETALL", self.keys.head))
            if head and head["commit"].encode() != before:
                version_id = f"{head['epoch']}-{head['version']}"
                return CommitSample(time.perf_counter(), version_id, Counters.from_fields(head), self._cpu_s())
            if time.monotonic() > deadline or any(each.poll() is not None for each in self._processes()):
                raise click.ClickException(f"the run stands still\n{self._said()}")
            time.sleep(_POLL_S)

    def memory_mb(self, name: str) -> float:
        """What the processes of a part have resident, without what they started themselves."""
        return sum(psutil.Process(each.pid).memory_info().rss for each in self._parts[name]) / 1e6

    def _cpu_s(self) -> dict[str, float]:
        return {name: sum(_cpu_s(each.pid) for each in processes) for name, processes in self._parts.items()}

    def _processes(self) -> list[subprocess.Popen[bytes]]:
        return [each for processes in self._parts.values() for each in processes]

    def _said(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in self._logs.iterdir())


def _cpu_s(pid: int) -> float:
    us = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (us, *us.children(recursive=True)))


def end(process: subprocess.Popen[bytes]) -> bytes:
    """Ask a process to drain; returns what it printed. May be done twice."""
    process.terminate()
    try:
        return process.communicate(timeout=_END_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def _mapping(raw: list[bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in zip(raw[::2], raw[1::2], strict=True)}
