"""Trajectories, entries, commits and processes of a run, made for the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from support.servers import PATIENCE_S, WHOLE_RUN_S, wait_until

from broodmind.actors.rollout import Fragment
from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.actions import Discrete
from broodmind.common.policy.network import initial_params
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.entry_header import Episodes, Header
from broodmind.common.wire.trajectory import Trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer, encode_weights
from broodmind.learner.commit.commit import Commit
from broodmind.learner.commit.lease import Lease
from broodmind.learner.ledger.head import Head, next_head

SPEC = RunSpec(GameSpec("toy", (3,), Discrete(2)), NetworkSpec(hidden=(8,)), RolloutSpec(fragment_length=4))
NEVER = Stop()
BEGAN_MS = 10**12


def trajectory(seed: int = 0, spec: RunSpec = SPEC, columns: int = 2) -> Trajectory:
    """A trajectory in which one game ends."""
    rng = np.random.default_rng(seed)
    shape = (spec.rollout.fragment_length, columns)
    terminated = np.zeros(shape, np.bool_)
    terminated[-1, 0] = True
    return Trajectory(
        observations=rng.standard_normal((shape[0] + 1, columns, *spec.game.observation_shape)).astype(np.float32),
        actions=rng.integers(0, spec.game.actions.outputs, shape).astype(np.int32),
        log_probs=np.full(shape, -np.log(spec.game.actions.outputs), np.float32),
        rewards=rng.standard_normal(shape).astype(np.float32),
        terminated=terminated,
        truncated=np.zeros(shape, np.bool_),
        valid=np.ones(shape, np.bool_),
        episodes=Episodes((1.0,), (shape[0],), (BEGAN_MS,)),
    )


def make_header(
    version: int, epoch: int, steps: int, games: int | Episodes, created_ms: int, commit: str = "", **more
) -> Header:
    """The header of play with one version; of so many games where it does not matter how they went."""
    if isinstance(games, int):
        games = Episodes((1.0,) * games, (steps,) * games, (created_ms,) * games)
    return Header(epoch, (version, version), steps, created_ms, (commit, commit), games, **more)


def entry(actor: str, *, version: int = 1, epoch: int = 1, spec: RunSpec = SPEC, seed: int = 0, payload=None) -> list:
    """The fields of an XADD with a trajectory."""
    played = trajectory(seed, spec)
    header = make_header(version, epoch, played.steps, played.episodes, created_ms=10**12 * 2)
    return header.fields(encode_trajectory(played, actor, spec) if payload is None else payload)


def fragment(version: int = 1, epoch: int = 1, seed: int = 0) -> Fragment:
    pointer = Pointer(epoch, version, "", "d", 0)
    return Fragment(trajectory(seed), (pointer, pointer))


def joined_connection(
    url: str, run: str, actor: str, spec: RunSpec = SPEC, journals: Path | None = None, **options
) -> BlockingActorConnection:
    """The connection of an actor that has joined a run. Writes the run's spec first."""
    connection = BlockingActorConnection(url, run, actor, journals, **options)
    keys, server = Keys(run), Server(url)
    server.call("HSET", keys.spec, "json", spec.to_json(), "digest", spec.digest)
    server.close()
    connection.join(connection.read_spec(NEVER))
    return connection


def commit_after(parent: Head, *, publish: bool = True, consumed=None, rejected_entries=(), counters=None) -> Commit:
    """A commit that follows `parent`, with weights that differ from version to version."""
    head = next_head(parent, publish=publish)
    if not parent.commit:
        head = Head(1, 1, head.commit)
    params = initial_params(SPEC.network, SPEC.game, np.random.default_rng(head.version))
    return Commit(
        parent=parent,
        head=head,
        learner=f"learner state of {head.commit}".encode(),
        weights=encode_weights(params, SPEC) if publish else None,
        restore_point=f"restore point of {head.commit}".encode() if publish else None,
        counters=counters or {"games": head.version},
        stats={"version": head.version},
        entry={"loss": "0.5"},
        consumed=consumed or {},
        rejected_entries=rejected_entries,
    )


def everything(server, keys: Keys) -> dict[bytes, bytes]:
    """All keys of a run with their DUMP, to compare two states."""
    found = server.call("KEYS", f"broodmind:{{{keys.run}}}:*")
    return {key: server.call("DUMP", key) for key in found}


_READS = {b"hash": ("HGETALL",), b"stream": ("XRANGE", "-", "+"), b"string": ("GET",)}


def contents(server, keys: Keys) -> dict[str, object]:
    """All keys of a run with their contents, which do not depend on the server's internal encoding."""
    found = {}
    for key in server.call("KEYS", f"broodmind:{{{keys.run}}}:*"):
        kind = server.call("TYPE", key)
        command, *arguments = _READS[kind]
        value = server.call(command, key, *arguments)
        found[key.decode()] = dict(zip(value[::2], value[1::2], strict=True)) if kind == b"hash" else value
    return found


def hash_of(server, key: str) -> dict[str, str]:
    raw = server.call("HGETALL", key)
    return {name.decode(): value.decode() for name, value in zip(raw[::2], raw[1::2], strict=True)}


def counters(server, keys: Keys) -> dict[str, int]:
    """The numbers of the head: version and counters."""
    return {name: int(value) for name, value in hash_of(server, keys.head).items() if value.isdigit()}


def taken_lease(server, keys: Keys) -> Lease:
    """The run's lease, taken for a minute."""
    lease = Lease(keys, 60_000)
    assert lease.acquire(server, NEVER, 0)
    return lease


def broodmind(*arguments: str, **options) -> subprocess.Popen[str]:
    """Start a command in a process of its own. Read its output by `communicate`."""
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "broodmind.deploy.cli", *arguments]
    return subprocess.Popen(command, **{**defaults, **options})


@contextmanager
def running(*arguments: str, **options):
    """Run a command that is asked to drain at the end of the block, and killed if it does not."""
    process = broodmind(*arguments, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def lock_step_run(server, run: str, *options: str, game: str = "TinyZerg", names: tuple[str, ...] = ("a", "b")) -> None:
    """Run a learner and two actors in lock step until the learner ends.

    Args:
        server: real.
        run: its name.
        options: of the learner; they must set its goal.
        game: its name.
        names: the actors begin in this order, the second one after the learner has admitted the first.
    """
    keys, common = Keys(run), ("--redis", server.url, "--run", run)
    actors = [("actors", *common, "--game", game, "--envs", "4", "--name", name) for name in names]
    learner = ("learner", *common, "--game", game, "--lock-step", "--max-staleness", "0", "--wait-for-actors", "2")
    with closing(server.connect()) as redis, running(*actors[0]):
        process = broodmind(*learner, *options)
        wait_until(lambda: redis.call("HLEN", keys.roster))
        with running(*actors[1]):
            _, shown = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 0, shown


@contextmanager
def stopped(process: subprocess.Popen[str]):
    """Suspend a process during the block."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def last_json(text: str) -> dict:
    """The JSON object in the last line of a command's output."""
    return json.loads(text.strip().splitlines()[-1])


def processes_of(marker: str) -> list[str]:
    """The command lines of all processes with `marker` in command line or environment, without zombies."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, environment = (
                (process / name).read_bytes().replace(b"\0", b" ").decode(errors="replace")
                for name in ("cmdline", "environ")
            )
        except OSError:
            continue
        if marker in line + environment and line and int(process.name) != os.getpid():
            found.append(f"{process.name} {line}")
    return found
