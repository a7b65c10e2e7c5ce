"""Bots that only play, with the version that they ask for, on real servers; nothing of theirs is in the run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.clients import GAME, SPEC, play, publish
from support.runs import everything
from support.servers import PATIENCE_S, wait_until

from broodmind import connect
from broodmind.common.errors import ConfigError
from broodmind.common.policy.network import initial_params
from broodmind.common.server.keys import Keys
from broodmind.common.wire.evaluation_plan import EvaluationPlan
from broodmind.common.wire.weights import Pointer, digest, encode_weights


def params(version):
    return initial_params(SPEC.network, SPEC.game, np.random.default_rng(version))


def choose(redis, run, version):
    """What a learner's commit would: this version is the best."""
    blob = encode_weights(params(version), SPEC)
    redis.call("SET", Keys(run).best, blob)
    plan = EvaluationPlan(0.1, None, Pointer(1, version, "", digest(blob), len(blob)))
    redis.call("SET", Keys(run).evaluation, plan.to_json())


@pytest.fixture
def bot(shared_server, run):
    """Connects a bot that only plays."""
    agents = []

    def bot(**options):
        agent = connect(shared_server.url, run, game=GAME, learn=False, **options)
        agents.append(agent)
        return agent

    yield bot
    for agent in agents:
        agent.close()


def test_it_plays_and_writes_nothing_to_the_run(redis, run, bot, tmp_path):
    publish(redis, run, version=3)
    before = everything(redis, Keys(run))
    agent = bot(records=tmp_path / "records")
    assert agent.wait_until_ready(PATIENCE_S), agent.status
    for number in range(20):
        assert play(agent, number).version == 3
    assert agent.flush(PATIENCE_S)
    assert everything(redis, Keys(run)) == before
    status = agent.status
    assert (status.wins, status.sent, status.queued, status.untrained, status.overflow) == (20, 0, 0, 0, 0)
    records = [json.loads(line) for line in (tmp_path / "records").read_text().splitlines()]
    assert {(each["trained_on"], each["reason"]) for each in records} == {(False, "the agent only plays")}


@pytest.mark.parametrize("greedy", [False, True])
def test_a_greedy_one_always_plays_the_most_probable_action(redis, run, bot, greedy):
    publish(redis, run, version=1)
    agent = bot(greedy=greedy, seed=1)
    assert agent.wait_until_ready(PATIENCE_S), agent.status
    game = agent.episode()
    assert (len({game.act([1.0, 2.0, 3.0]) for _ in range(60)}) == 1) == greedy
    game.end("win")


def test_the_newest_is_followed(redis, run, bot):
    publish(redis, run, version=1)
    agent = bot()
    assert agent.wait_until_ready(PATIENCE_S)
    publish(redis, run, version=2)
    wait_until(lambda: agent.status.version == 2)


def test_the_best_is_followed_and_waited_for(redis, run, bot):
    publish(redis, run, version=9)
    agent = bot(version="best")
    wait_until(lambda: "none has been chosen yet" in agent.status.problem, lambda: agent.status)
    choose(redis, run, 4)
    wait_until(lambda: agent.status.version == 4)
    assert agent.status.problem == ""
    choose(redis, run, 6)
    wait_until(lambda: agent.status.version == 6)


def test_a_version_that_is_kept_is_played_by_its_number(redis, run, bot):
    for version in (7, 8, 9):
        publish(redis, run, version=version)
    choose(redis, run, 2)
    agents = {version: bot(version=version) for version in (7, 9, 2)}
    for version, agent in agents.items():
        assert agent.wait_until_ready(PATIENCE_S), agent.status
        assert play(agent, 0).version == version
    publish(redis, run, version=10)
    assert agents[7].status.version == 7


def test_a_version_that_is_not_kept_is_named_with_those_that_are(redis, run, bot):
    for version in (8, 9):
        publish(redis, run, version=version)
    choose(redis, run, 2)
    agent = bot(version=5)
    wait_until(lambda: agent.status.connection == "misfit", lambda: agent.status)
    assert agent.status.problem == "version: 5, expected one that the run keeps: 2, 8, 9; or 'best'"
    assert play(agent, 1).version == 0  # it plays on without a policy
    redis.call("RENAME", Keys(run).weights(1, 8), Keys(run).weights(1, 5))
    wait_until(lambda: agent.status.version == 5)


def test_a_run_of_another_game_is_refused(redis, run, shared_server, bot):
    publish(redis, run)
    other = GAME.__class__("other", (7,), GAME.actions, wins=True)
    with connect(shared_server.url, run, game=other, learn=False) as agent:
        wait_until(lambda: agent.status.connection == "misfit")
        assert agent.status.problem.startswith("observation_shape of game other")


@pytest.mark.parametrize("key", ["latest", "evaluation"])
def test_what_is_no_pointer_does_not_end_the_thread(redis, run, bot, key):
    publish(redis, run, version=1)
    choose(redis, run, 1)
    good = redis.call("GET", getattr(Keys(run), key))
    redis.call("SET", getattr(Keys(run), key), "nonsense")
    agent = bot(version="best")
    wait_until(lambda: agent.status.problem, lambda: agent.status)
    redis.call("SET", getattr(Keys(run), key), good)
    assert agent.wait_until_ready(PATIENCE_S), agent.status


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"greedy": True}, "greedy: true with learn, expected learn=False"),
        ({"version": "best"}, "version: 'best' with learn, expected learn=False"),
        ({"version": "last", "learn": False}, "version: 'last', expected 'best', the number of a version, or None"),
        ({"version": 0, "learn": False}, "version: 0, expected"),
        ({"version": True, "learn": False}, "version: True, expected"),
        ({"spool_dir": "s", "learn": False}, "spool_dir, journal: given with learn=False"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        connect("redis://127.0.0.1:1", **options)
