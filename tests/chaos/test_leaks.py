"""Learner and actors over a long time and many a reconnect: memory and open files stay what they were."""

from __future__ import annotations

import statistics
import subprocess
import time

import psutil
from support.books import audit
from support.learners import counters
from support.runs import broodmind
from support.servers import KINDS, PATIENCE_S, RealServer, wait_until

from broodmind.common.server.keys import Keys

RUN = "leaks"
KEYS = Keys(RUN)
DURABLE = {"appendonly": "yes", "appendfsync": "always", "auto-aof-rewrite-min-size": "64mb"}
FILES_MORE = 2  # a connection may be under way
# What memory may grow by from the third quarter of the time to the fourth. The allocator takes MBs now and then,
# and more often the faster the machine is; whoever kept the observations of each entry would be at 110 bytes a step.
GROWTH_MB, GROWTH_BYTES_A_STEP = 3.0, 60


def median(looks, of):
    return statistics.median(look[of] for look in looks)


class Soaked:
    """A run on a server of its own, and what its processes have held at each look."""

    def __init__(self, kind, folder):
        self.server = RealServer(kind, **DURABLE)
        common = ("--redis", self.server.url, "--run", RUN)
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        learning = ("--checkpoint-dir", str(folder / kind), "--batch-steps", "1024")
        self.commands = [
            broodmind("learner", *common, *learning, **options),
            broodmind("actors", *common, "--envs", "8", "--actors", "1", "--name", "a", **options),
        ]
        # MB, open files, and the steps that had been trained on.
        self.looks: dict[str, list[tuple[float, int, int]]] = {"learner": [], "supervisor": [], "actor": []}

    def version(self):
        return self.counter("version")

    def counter(self, name):
        redis = self.server.connect()
        try:
            return counters(redis, KEYS).get(name, 0)
        finally:
            redis.close()

    def look(self):
        learner, supervisor = (psutil.Process(command.pid) for command in self.commands)
        (actor,) = supervisor.children()
        steps = self.counter("steps")
        for name, process in (("learner", learner), ("supervisor", supervisor), ("actor", actor)):
            self.looks[name].append((process.memory_info().rss / 2**20, process.num_fds(), steps))

    def close(self):
        for command in self.commands:
            command.terminate()
        for command in self.commands:
            command.wait(PATIENCE_S)
        self.server.close()


def test_memory_and_open_files_stay_flat_through_reconnects(times, tmp_path):
    """Both servers at once. Every round ends with a kill of the server, which is where connections would be left."""
    rounds = times(60)
    round_s = 10.0 if rounds == 60 else 4.0
    runs = []
    try:
        runs += [Soaked(kind, tmp_path) for kind in KINDS]
        for _ in range(rounds):
            for run in runs:  # the first version needs no actor, the second does
                wait_until(lambda run=run: run.version() > 1)
            ends_s = time.monotonic() + round_s
            floors = [run.version() for run in runs]
            while time.monotonic() < ends_s:
                time.sleep(round_s / 8)
                for run in runs:
                    run.look()
            for run, floor in zip(runs, floors, strict=True):
                wait_until(lambda run=run, floor=floor: run.version() > floor)
                run.server.kill()
                run.server.start()
        for run in runs:
            wait_until(run.version)
            audit(run.server.url, RUN, commits_max=1 << 20)  # at full scale, some 20 a second for ten minutes
            for name, looks in run.looks.items():
                half = len(looks) // 2
                quarter = len(looks) - half // 2
                before, after = looks[half:quarter], looks[quarter:]
                growth, steps = (median(after, of) - median(before, of) for of in (0, 2))
                files = [median(part, 1) for part in (looks[: len(looks) // 4], after)]
                kept = f"{growth:+.2f} MB in {steps:,.0f} steps late"
                print(f"{run.server.kind} {name}: {after[-1][0]:.1f} MB, {kept}, files {files}")
                assert files[1] <= files[0] + FILES_MORE
                assert growth < max(GROWTH_MB, GROWTH_BYTES_A_STEP * steps / 2**20)
    finally:
        for run in runs:
            run.close()
