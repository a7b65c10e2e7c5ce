"""A run with a thousand actors: entries per second, commit time, adoption time, memory and processor time.

    python benchmarks/many_actors.py
    python benchmarks/many_actors.py --actors 2000 --seconds 30

Real: the server; `broodmind learner`, which trains TinyZerg by PPO with a network of 64 and 64; and each actor's
connection (`BlockingActorConnection`): its stream, its entry in the roster, heartbeats, pushes, waits for room or
for a version, and fetching, checking and decoding each version. Simulated: the games. Every actor pushes the same
fragment, 32 steps of one game that the first version played, under its own name and with the version that it has, and
sleeps for the time that playing would take. So nothing meaningful is learnt. The actors are threads of two processes,
which share two cores with the server and the learner that are measured: the adoption time is mostly the time in which
a thousand copies of the weights are checked and decoded one after another.

There are two runs. Free: a fragment takes an actor one to three seconds, and before the next one it takes the newest
version, as actors do; a batch has half as many fragments as there are actors. Lock-step: all actors push, and all wait
for the next version. An actor's adoption time is from a commit, by the server's clock, until the actor has decoded its
version. In the free run this includes the rest of the current fragment. The commit time is measured by the learner,
from the first byte that it stages to the script's answer.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import click
import numpy as np
from benchmark_run import RUN, BenchmarkRun, Window, end, on_cores
from results import Result

from broodmind.actors.games.registry import make_game
from broodmind.actors.rollout import make_rollout
from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.process.clock import now_ms
from broodmind.common.process.shutdown import stop_on_signal
from broodmind.common.spec import RolloutSpec
from broodmind.learner.ledger.ledger_entry import parse_ledger_entry

if TYPE_CHECKING:
    from broodmind.actors.inference.policy import Policy
    from broodmind.actors.rollout import Fragment
    from broodmind.common.process.shutdown import Stop

GAME = "TinyZerg"
SIMULATORS = 2
PLAY_S = (1.0, 3.0)  # shortest and longest time of a fragment
_STACK_BYTES = 1 << 18  # of a thread, instead of the default 8 MB
_SWITCH_S = 1.0  # each thread soon waits for the network; with the default 5 ms hundreds of threads would be switched
_LOOK_EVERY_S = 2.0  # each sample reads the length of every stream
_WARM_UP_S = 3.0
_POLL_S = 0.1

Adoption = tuple[int, int, int]  # epoch, version, and when an actor had it, in milliseconds since 1970


def simulated(url: str, first: int, last: int, stop: Stop) -> list[Adoption]:
    """Run the simulated actors `first` to `last` until stopped. Returns their adoptions."""
    connections = [BlockingActorConnection(url, RUN, f"simulated-{number:05}") for number in range(first, last)]
    spec = connections[0].read_spec(stop)
    if spec is None:
        return []
    for connection in connections:
        connection.join(spec)
    policy = connections[0].policy(None, stop)
    if policy is None:
        return []
    (fragment,) = make_rollout(make_game(GAME, 1), spec, seed=1, rng=np.random.default_rng(1)).play(policy)
    adopted: list[Adoption] = []
    over = threading.Event()
    threading.stack_size(_STACK_BYTES)
    sys.setswitchinterval(_SWITCH_S)
    threads = [
        threading.Thread(target=live, args=(connection, fragment, policy, adopted, stop, over))
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    while not stop.requested:
        time.sleep(_POLL_S)
    over.set()
    for thread in threads:
        thread.join()
    return adopted


def live(
    connection: BlockingActorConnection,
    fragment: Fragment,
    policy: Policy,
    adopted: list[Adoption],
    stop: Stop,
    over: threading.Event,
) -> None:
    """Run one simulated actor until stopped, as in actors/loop.py. Setting `over` ends its sleep."""
    rng, lock_step = np.random.default_rng(int(connection.actor[-5:])), connection.spec.rollout.lock_step
    while not stop.requested:
        if not lock_step:
            over.wait(rng.uniform(*PLAY_S))
        connection.push([replace(fragment, played_with=(policy.pointer, policy.pointer))], stop)
        connection.wait_for_room(stop)
        if lock_step:
            connection.wait_for_newer(policy.pointer, stop)
        newest = connection.policy(policy, stop)
        if newest is not None and newest is not policy:
            policy = newest
            adopted.append((policy.pointer.epoch, policy.pointer.version, now_ms()))
    connection.leave()


def measure(actors: int, seconds: float, *, lock_step: bool) -> tuple[Window, dict[int, list[int]], float]:
    """Measure one run. Returns its window, the adoption times in ms by version, and the server's memory in MB."""
    fragments = actors if lock_step else actors // 2
    batch = str(fragments * RolloutSpec().fragment_length)
    learner = ["--game", GAME, "--algo", "ppo", "--hidden", "64,64", "--batch-steps", batch]
    if lock_step:
        learner += ["--lock-step", "--max-staleness", "0"]
    with BenchmarkRun(learner, None) as run:
        bounds = [str(actors * index // SIMULATORS) for index in range(SIMULATORS + 1)]
        simulators = [
            run.start("actors", sys.executable, __file__, "--simulate", run.url, *ends) for ends in pairwise(bounds)
        ]
        while run.server.call("HLEN", run.keys.roster) < actors:
            run.next_commit()
        run.warm_up(_WARM_UP_S)
        window = run.window(seconds, _LOOK_EVERY_S)
        memory_mb = run.memory_mb("server")
        time.sleep(PLAY_S[1])  # until the last version has been adopted too
        ledger = [parse_ledger_entry(*entry) for entry in run.server.call("XRANGE", run.keys.ledger, "-", "+")]
        adopted = [adoption for each in simulators for adoption in json.loads(end(each))]
    published_ms = {(entry.epoch, entry.version): entry.written_ms for entry in ledger if entry.published}
    seen = {(int(update["epoch"]), int(update["version"])) for update in window.updates}
    took_ms: dict[int, list[int]] = {version: [] for _, version in seen}
    for epoch, version, at_ms in adopted:
        if (epoch, version) in seen:
            took_ms[version].append(at_ms - published_ms[epoch, version])
    return window, took_ms, memory_mb


def emit(name: str, window: Window, took_ms: dict[int, list[int]], memory_mb: float) -> None:
    """Print the results of one run."""
    adopted = [times for times in took_ms.values() if times]
    detail = {**window.detail(), "staleness_p95": window.staleness_p95, "backlog": window.backlog, "lag": window.lag}
    Result(f"entries/s, {name}", [window.entries_per_second], "entries/s", detail=detail).emit()
    Result(f"ms a commit, {name}", window.metric("commit_ms"), "ms").emit()
    Result(f"ms to adoption p50, {name}", [float(np.percentile(each, 50)) for each in adopted], "ms").emit()
    Result(f"ms to adoption p99, {name}", [float(np.percentile(each, 99)) for each in adopted], "ms").emit()
    Result(f"actors that adopted a version, {name}", [float(len(each)) for each in adopted], "actors").emit()
    Result(f"server's memory, {name}", [memory_mb], "MB").emit()
    Result(f"learner's cores, {name}", [window.cores["learner"]], "cores").emit()


@click.command()
@click.option("--actors", default=1000, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="Of each measurement.")
@click.option("--simulate", nargs=3, hidden=True)
def main(actors: int, seconds: float, simulate: tuple[str, str, str] | None) -> None:
    """Measure and print the results."""
    if simulate:
        url, first, last = simulate
        with stop_on_signal() as stop:
            print(json.dumps(simulated(url, int(first), int(last), stop)))
        return
    on_cores(2)
    for name, lock_step in (("free", False), ("lock-step", True)):
        emit(f"{actors} actors, {name}", *measure(actors, seconds, lock_step=lock_step))


if __name__ == "__main__":
    main()
