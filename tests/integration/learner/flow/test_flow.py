"""Learner and actors in threads of the test: batches of the size asked for, and nobody who holds up the others."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from support.learners import CONFIG, learning
from support.runs import hash_of
from support.servers import PATIENCE_S, wait_until

from broodmind import connect
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.actors.loop import act
from broodmind.common.process.shutdown import Stop
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.demand import Demand
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.commit.lease import Lease
from broodmind.learner.persistence.last_known_state import LastKnownState
from broodmind.learner.session import Session

SPEC = RunSpec(TinyZerg.spec, NetworkSpec(hidden=(8,)), RolloutSpec(fragment_length=16))
BATCH = 512


def config(**intake):
    return replace(CONFIG, algorithm=PPOConfig(n_epochs=1), intake=replace(CONFIG.intake, batch_steps=BATCH, **intake))


@contextmanager
def acting(url, run, *actors):
    """Actors, each by its name and the number of its games; they stop at the end of the block, or if told by name."""
    stops = {name: Stop() for name, _ in actors}
    threads = [
        threading.Thread(target=act, args=(url, run, name, "TinyZerg", envs, stops[name]), daemon=True)
        for name, envs in actors
    ]
    for thread in threads:
        thread.start()
    try:
        yield stops
    finally:
        for stop in stops.values():
            stop.request()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)


def version_of(redis, keys):
    return int(hash_of(redis, keys.head).get("version", 0))


def batches(redis, keys, column="batch_steps"):
    """The sizes of all batches, in order, as the versions' entries say."""
    found = [
        dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in redis.call("XRANGE", keys.versions, "-", "+")
    ]
    return [float(each[column.encode()]) for each in found if b"batch_steps" in each]


@pytest.mark.parametrize("actors", [[("a", 8)], [("a", 2), ("b", 2), ("c", 2), ("d", 2)], [("a", 96)]], ids=len)
def test_batches_are_as_large_as_was_asked_for_whoever_plays(shared_server, redis, run, keys, actors):
    with learning(shared_server.url, run, config(), SPEC):
        wait_until(lambda: redis.call("EXISTS", keys.demand))  # before an actor knows it, it sends whole fragments
        with acting(shared_server.url, run, *actors):
            wait_until(lambda: version_of(redis, keys) > 8)
    sizes, games = batches(redis, keys), batches(redis, keys, "batch_games")
    assert len(sizes) >= 8
    # After a game's end a step only resets it: the batch counts these steps, the metric does not. There is at most one
    # for each game that ends, and one at the beginning of each column of the fragments.
    most = 9 / 8 * BATCH
    columns = most / SPEC.rollout.fragment_length
    for steps, ended in zip(sizes, games, strict=True):
        assert BATCH - ended - columns <= steps <= most, sizes
    assert hash_of(redis, keys.head)["short_batches"] == "0"


def test_who_finds_a_version_finds_a_demand(shared_server, redis, run, keys):
    """Or a fast client would send more than is trained on before it is stale."""
    session = Session(shared_server.url, run, SPEC, config(), Lease(keys, 10_000), LastKnownState())
    assert session.prepare(Stop())  # and nothing is read yet
    assert redis.call("EXISTS", keys.latest)
    assert Demand.from_json(redis.call("GET", keys.demand)).batch_steps == BATCH
    session.close()


def test_a_client_that_is_idle_does_not_stop_a_run(shared_server, redis, run, keys):
    with learning(shared_server.url, run, config(), SPEC):
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        with connect(shared_server.url, run, name="idle") as agent:
            wait_until(lambda: agent.status.connection == "connected")
            with acting(shared_server.url, run, ("a", 8)):
                wait_until(lambda: version_of(redis, keys) > 8)
                began = version_of(redis, keys)
                wait_until(lambda: version_of(redis, keys) > began + 8)
                assert agent.status.connection == "connected"
                assert hash_of(redis, keys.head)["short_batches"] == "0"


@pytest.mark.parametrize("shared_server", ["valkey"], indirect=True)
def test_a_batch_waits_for_the_next_process_of_a_bot_that_has_one_for_each_game(shared_server, redis, run, keys):
    steps = BATCH // 4

    def play_a_game():
        with connect(shared_server.url, run, name="bot", game=SPEC.game, restarts=True) as agent:
            assert agent.wait_until_ready(PATIENCE_S), agent.status
            with agent.episode() as game:
                for _ in range(steps):
                    game.act(np.zeros(SPEC.game.observation_shape))
                game.end("win")
            assert agent.flush(PATIENCE_S)

    with learning(shared_server.url, run, config(), SPEC):
        play_a_game()
        time.sleep(3.0)  # nobody is connected: for longer than the learner waits for actors that have left
        assert not batches(redis, keys)
        while not batches(redis, keys):
            play_a_game()
    (size,) = batches(redis, keys)
    assert 0.9 * BATCH <= size <= BATCH + steps
    assert hash_of(redis, keys.head)["short_batches"] == "0"


def test_an_actor_whose_fellows_vanish_gets_all_the_credit(shared_server, redis, run, keys):
    names = [f"a{number}" for number in range(6)]

    def credit():
        raw = redis.call("GET", keys.demand)
        return 0 if raw is None else Demand.from_json(raw).steps

    with (
        learning(shared_server.url, run, config(), SPEC),
        acting(shared_server.url, run, *((name, 8) for name in names)) as stops,
    ):
        wait_until(lambda: version_of(redis, keys) > 8)
        for name in names[1:]:
            stops[name].request()
        wait_until(lambda: credit() >= BATCH)
        began = version_of(redis, keys)
        wait_until(lambda: version_of(redis, keys) > began + 4)
        assert hash_of(redis, keys.head)["short_batches"] == "0"


def test_a_demand_that_the_server_lost_is_published_again(shared_server, redis, run, keys):
    with learning(shared_server.url, run, config(), SPEC):
        wait_until(lambda: redis.call("EXISTS", keys.demand))
        redis.call("DEL", keys.demand)
        wait_until(lambda: redis.call("EXISTS", keys.demand))
        assert Demand.from_json(redis.call("GET", keys.demand)).batch_steps == BATCH
