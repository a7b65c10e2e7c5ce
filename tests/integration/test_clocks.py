"""Actors and learners whose clocks are wrong, on real servers: they train all the same, and say so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.learners import CONFIG, ONE_PIECE, head_of, learning
from support.runs import NEVER, fragment, hash_of
from support.servers import wait_until

from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.process.clock import now_ms
from broodmind.common.server.keys import Keys
from broodmind.common.server.server_clock import ServerClock
from broodmind.learner.config import IntakeConfig

DAY_MS = 86_400_000


@pytest.mark.parametrize(("actor_ahead_ms", "learner_ahead_ms"), [(-DAY_MS, 0), (0, DAY_MS), (DAY_MS, -DAY_MS)])
def test_a_run_trains_whatever_the_clocks_of_its_machines_say(
    shared_server, redis, run, monkeypatch, caplog, actor_ahead_ms, learner_ahead_ms
):
    def actors_clock():
        return now_ms() + actor_ahead_ms

    monkeypatch.setattr("broodmind.common.server.server_clock.now_ms", lambda: now_ms() + learner_ahead_ms)
    monkeypatch.setattr("broodmind.actors.transport.blocking_connection.now_ms", actors_clock)
    keys = Keys(run)
    config = replace(CONFIG, intake=IntakeConfig(batch_steps=ONE_PIECE, max_age=60))
    connection = BlockingActorConnection(
        shared_server.url, run, "a", server_clock=ServerClock(actors_clock), heartbeat_s=0
    )
    with learning(shared_server.url, run, config):
        connection.join(connection.read_spec(NEVER))
        policy = connection.policy(None, NEVER)
        for seed in range(3):
            connection.push([fragment(version=policy.pointer.version, seed=seed)], NEVER)
        head_of(redis, keys, accepted=3)
        wait_until(lambda: "clock_skew_ms" in hash_of(redis, keys.stats))
        skews = [int(hash_of(redis, key)["clock_skew_ms"]) for key in (keys.stats, keys.heartbeat("a"))]
        connection.leave()
    for skew_ms, ahead_ms in zip(skews, (learner_ahead_ms, actor_ahead_ms), strict=True):
        assert abs(skew_ms - ahead_ms) < 1000
    said = [record.message for record in caplog.records if "clock differs" in record.message]
    assert len(said) == sum(ahead_ms != 0 for ahead_ms in (actor_ahead_ms, learner_ahead_ms))
    age_s = float(hash_of(redis, keys.stats)["age_s_max"])
    assert abs(age_s) < 60
