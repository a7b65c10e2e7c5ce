"""The processes of a chaos test: real learners, and actors with real connections that push prepared trajectories."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from support.runs import SPEC, make_header, trajectory

from broodmind.actors.rollout import Fragment
from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.process.clock import now_ms
from broodmind.common.process.shutdown import stop_on_signal
from broodmind.common.spec import RolloutSpec
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.loop import learn

if TYPE_CHECKING:
    from broodmind.common.wire.entry_header import Header
    from broodmind.common.wire.weights import Pointer

SOAK_SPEC = replace(SPEC, rollout=RolloutSpec(fragment_length=4))
PIECES_A_BATCH = 24
CONFIG = LearnerConfig(
    algorithm=PPOConfig(n_epochs=1, minibatch_size=1 << 12),
    intake=IntakeConfig(batch_steps=PIECES_A_BATCH * 8, max_staleness=8),
    lease=LeaseConfig(standby=True),
)
PIECES = [trajectory(seed, SOAK_SPEC) for seed in range(8)]


def play(url: str, run: str, name: str, folder: str) -> None:
    """An actor that pushes prepared trajectories as fast as pacing allows, with a journal in `folder`.

    Some of its entries evaluate the version instead. Before it sends an entry, it also writes to a file the version and
    the commit that the entry names, and which kind it is of.
    """
    rng = random.Random(os.getpid())
    with stop_on_signal() as stop:
        connection = BlockingActorConnection(url, run, name, Path(folder))
        spec = connection.read_spec(stop)
        if spec is None:
            return
        connection.join(spec)
        played = Path(folder) / f"{name}@{connection.incarnation}.played"
        notes = os.open(played, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        number = 0
        policy = connection.policy(None, stop)
        try:
            while policy is not None and not stop.requested:
                played_with = (policy.pointer, policy.pointer)
                fragments = [Fragment(rng.choice(PIECES), played_with) for _ in range(rng.randint(1, 4))]
                evaluations = [evaluation(policy.pointer, rng) for _ in range(rng.choice((0, 0, 1, 2)))]
                kinds = ["evaluation"] * len(evaluations) + ["training"] * len(fragments)
                by = f"{policy.pointer.epoch} {policy.pointer.version} {policy.pointer.commit}"
                lines = [f"{number + n} {by} {kind}\n" for n, kind in enumerate(kinds, 1)]
                os.write(notes, "".join(lines).encode())
                number += len(kinds)
                for header in evaluations:
                    connection.delivery.put(header, b"")
                connection.push(fragments, stop)
                connection.wait_for_room(stop)
                policy = connection.policy(policy, stop)
        finally:
            connection.leave()


def evaluation(pointer: Pointer, rng: random.Random) -> Header:
    """The entry of some games that evaluate a version, which has no payload."""
    header = make_header(pointer.version, pointer.epoch, 8, rng.randint(1, 3), now_ms(), pointer.commit)
    return replace(header, evaluation=True)


def teach(url: str, run: str, ttl_ms: int, folder: str) -> None:
    """A learner that waits for the lease, and writes a file in `folder` when it has taken it."""
    acquire = Lease.acquire

    def noting(lease: Lease, *arguments) -> bool:
        taken = acquire(lease, *arguments)
        if taken:
            (Path(folder) / f"{lease.token}.holder").write_text(str(os.getpid()))
        return taken

    Lease.acquire = noting
    with stop_on_signal() as stop:
        learn(url, run, SOAK_SPEC, replace(CONFIG, lease=LeaseConfig(lease_ttl=ttl_ms / 1000, standby=True)), stop)


ROLES = {"actor": play, "learner": teach}
