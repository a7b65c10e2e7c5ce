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
GROWTH_MB = 3.0  # from the third quarter of the time to the fourth; whoever kept each payload would be at 7 to 9


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
        self.looks: dict[str, list[tuple[float, int]]] = {"learner": [], "supervisor": [], "actor": []}

    def version(self):
        redis = self.server.connect()
        try:
            return counters(redis, KEYS).get("version", 0)
        finally:
            redis.close()

    def look(self):
        learner, supervisor = (psutil.Process(command.pid) for command in self.commands)
        (actor,) = supervisor.children()
        for name, process in (("learner", learner), ("supervisor", supervisor), ("actor", actor)):
            self.looks[name].append((process.memory_info().rss / 2**20, process.num_fds()))

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
            audit(run.server.url, RUN)
            for name, looks in run.looks.items():
                half = len(looks) // 2
                quarter = len(looks) - half // 2
                before, after = looks[half:quarter], looks[quarter:]
                growth = statistics.median(mb for mb, _ in after) - statistics.median(mb for mb, _ in before)
                files = [statistics.median(files for _, files in part) for part in (looks[: len(looks) // 4], after)]
                print(f"{run.server.kind} {name}: {after[-1][0]:.1f} MB, {growth:+.2f} MB late, files {files}")
                assert files[1] <= files[0] + FILES_MORE
                assert growth < GROWTH_MB
    finally:
        for run in runs:
            run.close()
