"""A game that began long ago, on a real server: its stale steps are left out, and the game is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.learners import CONFIG, ONE_PIECE, head_of, learning
from support.runs import NEVER, fragment, hash_of, joined_connection
from support.servers import wait_until

from broodmind.actors.rollout import Fragment
from broodmind.common.server.keys import Keys
from broodmind.common.wire.weights import Pointer
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.config import IntakeConfig

# What is left of a game after its stale steps is less than a batch, which goes short soon.
INTAKE = IntakeConfig(batch_steps=ONE_PIECE, batch_wait=0.2, max_staleness=1)


def played_by(*versions):
    """A fragment of two columns, and the version of each of its four steps."""
    made, lowest = fragment(), min(versions)
    offsets = np.repeat(np.array(versions, np.int32)[:, None] - lowest, 2, axis=1)
    ends = (Pointer(1, lowest, "", "d", 0), Pointer(1, max(versions), "", "d", 0))
    return Fragment(replace(made.trajectory, version_offsets=offsets), ends)


@pytest.mark.parametrize("algorithm", [PPOConfig(), ReinforceConfig()], ids=["fragments", "whole games"])
def test_a_game_is_trained_on_from_its_first_step_that_is_not_too_stale(shared_server, redis, run, algorithm):
    keys = Keys(run)
    config = replace(CONFIG, algorithm=algorithm, intake=INTAKE)
    with learning(shared_server.url, run, config):
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        connection = joined_connection(shared_server.url, run, "a")
        for version in (1, 2, 3):
            connection.push([fragment(version)], NEVER)
            head_of(redis, keys, version=version + 1)
        before = head_of(redis, keys, accepted=3, steps=3 * ONE_PIECE, stale_steps=0)
        connection.push([played_by(1, 2, 3, 4)], NEVER)
        head_of(redis, keys, version=5, steps=3 * ONE_PIECE + 4, stale_steps=4, games=int(before["games"]) + 1, stale=0)
        connection.push([played_by(1, 2, 3, 3)], NEVER)
        head_of(redis, keys, accepted=4, stale=1, stale_steps=4)
        connection.leave()
    assert float(hash_of(redis, keys.stats)["batch_staleness_max"]) == 1
