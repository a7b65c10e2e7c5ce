"""The processes of a chaos test: real learners, and actors with real connections that push prepared trajectories."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

from support.runs import SPEC, trajectory

from broodmind.actors.rollout import Fragment
from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.process.shutdown import stop_on_signal
from broodmind.common.spec import RolloutSpec
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig
from broodmind.learner.loop import learn

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

    Before it sends an entry, it also writes to a file the version and the commit that the entry names.
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
                by = f"{policy.pointer.epoch} {policy.pointer.version} {policy.pointer.commit}"
                lines = [f"{number + n} {by}\n" for n in range(1, len(fragments) + 1)]
                os.write(notes, "".join(lines).encode())
                number += len(fragments)
                connection.push(fragments, stop)
                connection.wait_for_room(stop)
                policy = connection.policy(policy, stop)
        finally:
            connection.leave()


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
