"""The cost of an entry: the round trip in one process, and the learner's ingest compared with a plain loop.

    python benchmarks/wire.py

Round trip: a game of 500 steps (15 features, one of 5 actions, log-probabilities, rewards, ends of games) is encoded as
by an actor, added to its stream, read by the learner's group, and decoded and checked as by the learner. One process
does all this, in two round trips to a server on a Unix socket that keeps nothing on disk. Acknowledging and deleting,
which a commit does for many entries at once, are not included. On an idle virtual machine much of the time is spent
waking up cores, four times, because each of the two processes waits while the other works. So it is measured again with
a process of the lowest priority (SCHED_IDLE) on each core that keeps the core from going idle, as a run does.

Ingest: the streams of four actors are filled with games of 16, 32, 48 and 64 KB, and the learner reads them all: its
ingest thread reads under the lease, decodes, checks and hands over, and the entries are consumed by commits that
publish nothing. In turn with it, a plain redis-py loop reads the same number at a time (XREADGROUP) without decoding,
and acknowledges and deletes them in the pipeline of the next read. Prints the ratio of the entries per second, with
both rates in the detail.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import click
import numpy as np
import redis
from random_games import random_game
from results import Result
from servers import LocalServer, binaries

from broodmind.common.actions import Discrete
from broodmind.common.process.clock import now_ms
from broodmind.common.process.process_setup import prepare_to_compute
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import CONSUMER, GROUP, Keys
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Header, parse_entry
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.learner.commit.commit import Commit, send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig
from broodmind.learner.flow.flow import Flow
from broodmind.learner.ingest.admission import rejection
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ingest.cached_layout_decoder import CachedLayoutDecoder
from broodmind.learner.ingest.fenced_read import FencedReads
from broodmind.learner.ingest.ingest_thread import IngestThread
from broodmind.learner.ingest.stream_reader import ENTRIES_PER_READ, StreamReader
from broodmind.learner.ledger.head import Head, Standing, next_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broodmind.common.server.streams import Server
    from broodmind.common.wire.trajectory import Trajectory
    from broodmind.learner.ledger.counters import Rejection

KEYS = Keys("wire")
GAME = GameSpec("Wire", (15,), Discrete(5))
SPEC = RunSpec(GAME, rollout=RolloutSpec(unroll="games", fragment_length=1000))
HEAD = Head(1, 1, "")
STANDING = Standing(HEAD)
STEPS = {"a": 213, "b": 427, "c": 640, "d": 853}  # of each actor's games: 16, 32, 48 and 64 KB
BATCH_STEPS = 32_768  # of a commit: some 60 games
LEASE_MS = 600_000


def header(steps: int, game: Trajectory) -> Header:
    commits = (HEAD.commit, HEAD.commit)
    return Header(HEAD.epoch, (HEAD.version, HEAD.version), steps, now_ms(), commits, game.episodes)


def there_and_back(server: Server, times: int) -> dict[str, float]:
    """Milliseconds of each part of a round trip: medians over `times` round trips."""
    stream, played = KEYS.trajectories("there"), random_game(500, seed=500, wins=False)
    server.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    decoder, marks = CachedLayoutDecoder(SPEC), []
    for sequence in range(1, times + 1):
        at = [time.perf_counter()]
        payload = encode_trajectory(played, "there", SPEC)
        at.append(time.perf_counter())
        server.call("XADD", stream, f"1-{sequence}", *header(500, played).fields(payload))
        at.append(time.perf_counter())
        reply = server.call("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", 1, "STREAMS", stream, ">")
        at.append(time.perf_counter())
        ((_, ((entry_id, fields),)),) = reply
        read, payload = parse_entry(fields)
        back = decoder.decode(payload, read, "there")
        at.append(time.perf_counter())
        marks.append(at)
        server.pipeline([("XACK", stream, GROUP, entry_id), ("XDEL", stream, entry_id)])
        if not np.array_equal(back.observations, played.observations):
            raise click.ClickException("decoded to something else")
    server.call("DEL", stream)
    parts = 1000 * np.diff(np.array(marks))
    medians = dict(zip(("encode", "push", "read", "decode"), np.median(parts, axis=0).tolist(), strict=True))
    return {**medians, "all": float(np.median(parts.sum(axis=1)))}


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keep all cores from going idle."""
    spin = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(os.cpu_count() or 1)]
    time.sleep(0.2)
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()


def fill(server: Server, games: int) -> None:
    """Create the streams of four actors with `games` games in each, and the learner's group on each."""
    for actor, steps in STEPS.items():
        stream, game = KEYS.trajectories(actor), random_game(steps, seed=steps, wins=False)
        payload = encode_trajectory(game, actor, SPEC)
        server.pipeline([("DEL", stream), ("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")])
        for sequence in range(1, games + 1):
            server.call("XADD", stream, f"1-{sequence}", *header(steps, game).fields(payload))


def by_the_learner(local_server: LocalServer, lease: Lease, games: int) -> float:
    """Seconds until the learner has read and committed everything."""
    server, config = local_server.connect(), IntakeConfig(batch_steps=BATCH_STEPS)
    server.call("DEL", KEYS.head)
    server.call("HSET", KEYS.roster, *(part for actor in STEPS for part in (actor, 1)))

    def rejected(entry: Header) -> Rejection | None:
        return rejection(entry, STANDING, now_ms(), config)

    reads = FencedReads(local_server.connect(), KEYS, lease)
    capacity_steps, flow = 2 * BATCH_STEPS, Flow(config)
    reader = StreamReader(
        local_server.connect(), reads, KEYS, lease, SPEC, rejected, capacity_steps, flow, after_death=False
    )
    ingest = IngestThread(reader, strike_off_every_s=10)
    began_s = time.perf_counter()
    ingest.start()
    left, batcher, parent = games * len(STEPS), Batcher(config, {}), Head()
    while left:
        entry = ingest.take(1.0)
        if entry is None or entry.rejected:
            raise click.ClickException(f"{entry}, expected an entry")
        batcher.add(entry, STANDING, now_ms())
        left -= 1
        if batcher.complete or not left:
            head = next_head(parent, publish=False)
            send(server, KEYS, lease, Commit(parent, head, b"state", None, {}, {"left": left}, {}, batcher.consumed))
            parent, batcher = head, Batcher(config, batcher.cursors)
    taken_s = time.perf_counter() - began_s
    ingest.close()
    server.close()
    return taken_s


def bare(local_server: LocalServer, games: int) -> float:
    """Seconds until a plain loop of redis-py has read and deleted everything."""
    client = redis.Redis.from_url(local_server.url)
    streams = {KEYS.trajectories(actor): ">" for actor in STEPS}
    began_s = time.perf_counter()
    left, pipeline = games * len(STEPS), client.pipeline(transaction=False)
    while left:
        pipeline.xreadgroup(GROUP, CONSUMER, streams, count=ENTRIES_PER_READ)
        *_, read = pipeline.execute()
        for stream, entries in read:
            ids = [entry_id for entry_id, _ in entries]
            left -= len(ids)
            pipeline.xack(stream, GROUP, *ids)
            pipeline.xdel(stream, *ids)
    pipeline.execute()
    taken_s = time.perf_counter() - began_s
    client.close()
    return taken_s


@click.command()
@click.option("--times", default=1000, show_default=True, help="A rollout goes there and back, a round.")
@click.option("--games", default=150, show_default=True, help="Read of each of four actors, a round.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--server", type=click.Choice(["Redis", "Valkey"]), default="Valkey", show_default=True)
def main(times: int, games: int, rounds: int, server: str) -> None:
    """Measure and print the results."""
    prepare_to_compute()  # as actors and learner do
    sent, sent_awake, rates = [], [], {"learner": [], "bare": []}
    with LocalServer(binaries()[server]) as local_server:
        connection = local_server.connect()
        lease = Lease(KEYS, LEASE_MS)
        lease.acquire(connection, Stop(), 0)
        for _ in range(rounds + 1):
            sent.append(there_and_back(connection, times))
            with awake():
                sent_awake.append(there_and_back(connection, times))
            for name, seconds in (
                ("learner", partial(by_the_learner, local_server, lease)),
                ("bare", partial(bare, local_server)),
            ):
                fill(connection, games)
                rates[name].append(games * len(STEPS) / seconds(games))
    rates = {name: values[1:] for name, values in rates.items()}  # the first round warms up
    payload_bytes = len(encode_trajectory(random_game(500, seed=500, wins=False), "there", SPEC))
    name = "wire: a rollout of 500 steps there and back"
    for kind, rounds_ms in (("", sent[1:]), (", cores awake", sent_awake[1:])):
        parts = {part: statistics.median(each[part] for each in rounds_ms) for part in rounds_ms[0] if part != "all"}
        detail = {"payload_bytes": payload_bytes, **parts}
        Result(name + kind, [each["all"] for each in rounds_ms], "ms", 0.25, at_most=True, detail=detail).emit()
    ratios = [ours / theirs for ours, theirs in zip(rates["learner"], rates["bare"], strict=True)]
    megabytes = (
        statistics.mean(
            len(encode_trajectory(random_game(steps, seed=steps, wins=False), actor, SPEC))
            for actor, steps in STEPS.items()
        )
        / 1e6
    )
    detail = {f"{name}_entries_per_second": statistics.median(values) for name, values in rates.items()}
    detail |= {f"{name}_mb_per_second": megabytes * statistics.median(values) for name, values in rates.items()}
    Result("ingest: entries a second, to a bare loop", ratios, "x", 0.8, detail=detail).emit()


if __name__ == "__main__":
    main()
