"""A complete run (server, learner, actors) in processes of its own, as users start it, and measurements of it."""

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
from servers import LocalServer, binaries

from broodmind.common.server.keys import Keys
from broodmind.deploy.observe.run_view import look
from broodmind.learner.ledger.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from broodmind.deploy.observe.run_view import RunView

RUN = "benchmark"
_SILENT_S = 60.0  # a run without a commit for this long is taken to be dead
_POLL_S = 0.01
_END_S = 30.0


def on_cores(count: int) -> int:
    """Restrict this process, and all that it starts, to at most `count` cores. Returns the number of these cores."""
    allowed = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, allowed)
    return len(allowed)


@dataclass(frozen=True, slots=True)
class CommitSample:
    """The state of a run at a commit."""

    at_s: float  # when it was read
    version_id: str  # in the versions stream
    counters: Counters
    cpu_s: dict[str, float]  # CPU time so far, by part


@dataclass(frozen=True, slots=True)
class Window:
    """Measurements from one commit to another, some seconds later."""

    seconds: float
    counted: Counters  # the increase of the run's counters
    updates: list[dict[str, str]]  # each update's fields in the versions stream; at most the last thousand
    cores: dict[str, float]  # number of cores used, by part
    backlog: list[int]  # entries in all streams, one number for each sample
    lag: list[int]  # entries not read yet, one number for each sample

    @property
    def steps_per_second(self) -> float:
        """Environment steps per second that were trained on and committed."""
        return self.counted.steps / self.seconds

    @property
    def entries_per_second(self) -> float:
        """Trajectories per second that were trained on and committed."""
        return self.counted.accepted / self.seconds

    @property
    def staleness_p95(self) -> float:
        """The 95th percentile over the updates of each batch's own 95th percentile, in versions."""
        return float(np.percentile(self.metric("batch_staleness_p95"), 95))

    def metric(self, name: str) -> list[float]:
        """A metric of each update that has it."""
        return [float(update[name]) for update in self.updates if name in update]

    def detail(self) -> dict[str, object]:
        """Further numbers that explain a result."""
        rejected = sum(self.counted.rejected().values())
        return {
            "seconds": round(self.seconds, 2),
            "updates": self.counted.updates,
            "rejected": round(rejected / max(self.counted.accepted + rejected, 1), 4),  # of the entries consumed
            "cores": {name: round(used, 2) for name, used in self.cores.items()},
            # The rate of each part with a whole core: the lowest one is the bottleneck on an idle machine.
            "steps_a_core_second": {name: round(self.steps_per_second / used) for name, used in self.cores.items()},
        }


class BenchmarkRun:
    """A running system. A context manager: when it is left, all its processes have ended.

    Args:
        learner: options of `broodmind learner`, including the game.
        actors: options of `broodmind actors`; None: the caller starts other actors.
        server: "Redis" or "Valkey".
    """

    def __init__(self, learner: Sequence[str], actors: Sequence[str] | None, server: str = "Valkey") -> None:
        self.keys = Keys(RUN)
        with ExitStack() as stack:
            self._logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broodmind-")))
            local_server = stack.enter_context(LocalServer(binaries()[server]))
            self.url, self.server = local_server.url, local_server.connect()
            stack.callback(self.server.close)
            self._parts: dict[str, list[subprocess.Popen[bytes]]] = {"server": [local_server.process]}
            self._stack = stack
            self._command("learner", learner)
            if actors is not None:
                self._command("actors", actors)
            self._stack = stack.pop_all()

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process of a part. Processes are ended in the reverse order of their start."""
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
        """Wait for the first update, and then for some seconds. Raises ClickException if there is no update."""
        while self.next_commit().counters.updates == 0:
            pass
        time.sleep(seconds)

    def window(self, seconds: float, look_every_s: float = 0.5) -> Window:
        """Measure from the next commit on for at least `seconds`, until a commit."""
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
        """Wait for the next commit. Raises ClickException, with the processes' logs, if there is none."""
        before, deadline = self.server.call("HGET", self.keys.head, "commit"), time.monotonic() + _SILENT_S
        while True:
            head = _mapping(self.server.call("HGETALL", self.keys.head))
            if head and head["commit"].encode() != before:
                version_id = f"{head['epoch']}-{head['version']}"
                return CommitSample(time.perf_counter(), version_id, Counters.from_fields(head), self._cpu_s())
            if time.monotonic() > deadline or any(each.poll() is not None for each in self._processes()):
                raise click.ClickException(f"the run made no commit\n{self._logs_text()}")
            time.sleep(_POLL_S)

    def memory_mb(self, name: str) -> float:
        """The resident memory of the processes of a part, in MB, without their own children."""
        return sum(psutil.Process(each.pid).memory_info().rss for each in self._parts[name]) / 1e6

    def _cpu_s(self) -> dict[str, float]:
        return {name: sum(_cpu_s(each.pid) for each in processes) for name, processes in self._parts.items()}

    def _processes(self) -> list[subprocess.Popen[bytes]]:
        return [each for processes in self._parts.values() for each in processes]

    def _logs_text(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in self._logs.iterdir())


def _cpu_s(pid: int) -> float:
    us = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (us, *us.children(recursive=True)))


def end(process: subprocess.Popen[bytes]) -> bytes:
    """Let a process drain. Returns its standard output. May be called twice."""
    process.terminate()
    try:
        return process.communicate(timeout=_END_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def _mapping(raw: list[bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in zip(raw[::2], raw[1::2], strict=True)}
