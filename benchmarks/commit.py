"""The duration of a commit, and the time until actors play with the version that it published.

    python benchmarks/commit.py

The commit: `learner.commit.commit.send`, from the call until the server has answered, with 1 MB of weights (two hidden
layers of 355), 2 MB of learner state (Adam's two moments of each), and four entries of four actors to consume. It
stages both blobs, computes the SHA-256 of the weights and runs the script, over a Unix socket and without a log on
disk; durability.py measures the cost of the log. Encoding, which the learner's main thread does before, is in the
detail; a thread of its own sends the commit while the next update runs.

Adoption: an unmodified `broodmind learner`, and actors that play TinyZerg as usual: fragments of 32 steps with one
version, and a wait when two fragments are not consumed yet. They are processes that run `actors.loop.act` and record
the time at which each policy is first used. A version's time is that of its entry in the ledger, which the server sets
when the commit's script runs, in whole milliseconds. The result is the time from then to the first action of that
version or a newer one, once for each version and actor, by one machine's clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from results import Result
from servers import LocalServer, binaries

from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.inference.policy import Policy
from broodmind.actors.loop import act
from broodmind.common.process.clock import now_ms
from broodmind.common.process.process_setup import prepare_to_compute
from broodmind.common.process.shutdown import Stop, stop_on_signal
from broodmind.common.server.keys import CONSUMER, GROUP, Keys
from broodmind.common.server.streams import parse_id
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.entry_header import Header
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.run.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broodmind.common.server.streams import Server

RUN = "commit"
KEYS = Keys(RUN)
SPEC = RunSpec(TinyZerg.spec, NetworkSpec(hidden=(355, 355)))
ACTORS = ("a", "b", "c", "d")


def commits(local_server: LocalServer, times: int) -> tuple[list[float], dict[str, object]]:
    """Milliseconds of each commit, and details of its contents."""
    server, lease, run = local_server.connect(), Lease(KEYS, 600_000), RunState(RUN, SPEC, LearnerConfig())
    lease.acquire(server, Stop(), 0)
    send(server, KEYS, lease, run.first_version(Head(), 1)[0])
    server.pipeline([("XGROUP", "CREATE", KEYS.trajectories(name), GROUP, "0", "MKSTREAM") for name in ACTORS])
    sent_ms, prepared_ms = [], []
    for sequence in range(1, times + 1):
        head = run.head
        header = Header(head.epoch, (head.version, head.version), 1024, now_ms(), (head.commit, head.commit))
        streams = {name: KEYS.trajectories(name) for name in ACTORS}
        server.pipeline([("XADD", each, f"1-{sequence}", *header.fields(b"")) for each in streams.values()])
        server.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "STREAMS", *streams.values(), *(">" for _ in streams))
        batcher = run.new_batcher()
        for name in ACTORS:
            batcher.add(Entry(name, (1, sequence), header, None, "stale"), run.standing, now_ms())
        began_s = time.perf_counter()
        commit, stored = run.commit(batcher, {"kl": 0.01}, ACTORS)
        prepared_ms.append(1000 * (time.perf_counter() - began_s))
        began_s = time.perf_counter()
        send(server, KEYS, lease, commit)
        sent_ms.append(1000 * (time.perf_counter() - began_s))
    lease.release(server)
    sizes = {"weights_bytes": len(stored.weights), "learner_bytes": len(stored.learner)}
    return sent_ms, {**sizes, "prepare_ms": float(np.median(prepared_ms)), "p99_ms": float(np.percentile(sent_ms, 99))}


def noting_first_use(url: str, actor: str, envs: int) -> None:
    """Run an actor that prints the time at which it first uses each version."""
    draw, last = Policy.act, (0, 0)

    def noted(self: Policy, *arguments: object) -> object:
        nonlocal last
        version = (self.pointer.epoch, self.pointer.version)
        if version != last:
            last = version
            print(json.dumps([version, time.time_ns() / 1e6]), flush=True)
        return draw(self, *arguments)

    Policy.act = noted
    with stop_on_signal() as stop:
        act(url, RUN, actor, "TinyZerg", envs, stop)


@contextlib.contextmanager
def process(*command: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is drained at the end."""
    with subprocess.Popen(command, text=True, **options) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)


def adoption_ms(local_server: LocalServer, actors: int, envs: int, seconds: float) -> list[float]:
    """Milliseconds from each version's commit to each actor's first action with it or with a newer version."""
    server, deadline_s = local_server.connect(), time.monotonic() + 60
    learner = (sys.executable, "-m", "broodmind.deploy.cli", "learner", "--redis", local_server.url, "--run", RUN)
    with contextlib.ExitStack() as stack:
        options = ("--game", "TinyZerg", "--batch-steps", str(SPEC.rollout.fragment_length * envs * actors))
        stack.enter_context(process(*learner, *options, stderr=subprocess.DEVNULL))
        command = (sys.executable, __file__, "--act", local_server.url)
        one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # as `broodmind actors` has it
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        notes = [folder / f"actor-{number}" for number in range(actors)]
        for note in notes:
            with note.open("w") as output:
                pipes = {"stdout": output, "stderr": subprocess.DEVNULL}
                stack.enter_context(process(*command, note.name, str(envs), env=one_thread, **pipes))
        while not all(note.stat().st_size for note in notes):
            if time.monotonic() > deadline_s:
                raise click.ClickException("no actor plays, expected the learner's first version by now")
            time.sleep(0.05)
        time.sleep(seconds)
        committed = commit_times(server)
        # The last line may be incomplete.
        uses = [[json.loads(line) for line in note.read_text().split("\n")[:-1]] for note in notes]
    return [delay for each in uses for delay in delays(committed, each)]


def commit_times(server: Server) -> dict[tuple[int, int], int]:
    """Epoch and version to the time of the commit, in milliseconds of the server's clock."""
    times = {}
    for entry_id, raw in server.call("XRANGE", KEYS.ledger, "-", "+"):
        fields = dict(zip(raw[::2], raw[1::2], strict=True))
        version = (int(fields[b"epoch"]), int(fields[b"version"]))
        times.setdefault(version, parse_id(entry_id)[0])  # later commits of a version publish nothing
    return times


def delays(committed: dict[tuple[int, int], int], uses: list[tuple[list[int], float]]) -> Iterator[float]:
    """Milliseconds from the commit of each version to its use by one actor, between its first and last version."""
    played = [(tuple(version), at_ms) for version, at_ms in uses]
    first, last = played[0][0], played[-1][0]
    later = iter(played)
    version, at_ms = next(later)
    for wanted in sorted(committed):
        if first < wanted <= last:
            while version < wanted:
                version, at_ms = next(later)
            yield at_ms - committed[wanted]


@click.command()
@click.option("--times", type=click.IntRange(20), default=300, show_default=True, help="A commit is sent.")
@click.option("--actors", default=2, show_default=True)
@click.option("--envs", default=32, show_default=True, help="Games of each actor.")
@click.option("--seconds", default=10.0, show_default=True, help="Of play.")
@click.option("--server", type=click.Choice(["Redis", "Valkey"]), default="Valkey", show_default=True)
@click.option("--act", "acting", type=(str, str, int), hidden=True)
def main(times: int, actors: int, envs: int, seconds: float, server: str, acting: tuple[str, str, int] | None) -> None:
    """Measure and print the results."""
    prepare_to_compute()  # as actors and learner do
    if acting:
        noting_first_use(*acting)
        return
    with LocalServer(binaries()[server]) as local_server:
        sent_ms, detail = commits(local_server, times)
    tenths = [float(np.median(part)) for part in np.array_split(sent_ms[times // 10 :], 10)]  # the first tenth warms up
    Result("commit: 1 MB of weights", tenths, "ms", 2, at_most=True, detail=detail).emit()
    with LocalServer(binaries()[server]) as local_server:
        adopted_ms = adoption_ms(local_server, actors, envs, seconds)
    p50, p99, top = np.percentile(adopted_ms, [50, 99, 100]).tolist()
    detail = {"versions": len(adopted_ms) // actors, "actors": actors, "envs": envs, "p50_ms": p50, "max_ms": top}
    Result("commit: until actors play with it, 99th percentile", [p99], "ms", 50, at_most=True, detail=detail).emit()


if __name__ == "__main__":
    main()
