"""A client whose games evaluate versions, beside a real learner: each is counted once, and none is trained on."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
from support.runs import hash_of
from support.served import client, served
from support.servers import PATIENCE_S, wait_until

from broodmind import connect
from broodmind.actors.client.episode import EVALUATION
from broodmind.common.actions import Discrete
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.evaluation_plan import EvaluationPlan
from broodmind.common.wire.weights import Pointer, digest
from broodmind.deploy.audit.verify import verify
from broodmind.deploy.observe.game_figures import by_label
from broodmind.deploy.recording.run_recorder import RunRecorder
from broodmind.deploy.records.run_folder import RunFolder, read_lines
from broodmind.learner.config import IntakeConfig, Intervals, LearnerConfig, LeaseConfig
from broodmind.learner.loop import learn
from broodmind.learner.persistence.checkpoints import read_checkpoint
from broodmind.learner.run.best_version import GAMES

GAME = GameSpec("two steps", (2,), Discrete(2), wins=True)
SPEC = RunSpec(GAME, NetworkSpec(hidden=(4,)), RolloutSpec(fragment_length=8))


@contextmanager
def learning(url, run, folder, share):
    stop = Stop()
    config = LearnerConfig(
        intake=IntakeConfig(batch_steps=64, batch_wait=0.2, max_staleness=64, eval_share=share),
        lease=LeaseConfig(lease_ttl=60),
        intervals=Intervals(gauges_s=0.0),
    )
    recorder = RunRecorder(RunFolder(folder), evaluates=share > 0)
    arguments = (url, run, SPEC, config, stop, recorder)
    thread = threading.Thread(target=learn, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        thread.join(PATIENCE_S)
        recorder.close()
    assert not thread.is_alive()


def play(agent, number):
    """One game; those that evaluate return 100 more."""
    with agent.episode(map="ab"[number % 2], opponent="none") as game:
        actions = {game.act([1.0, 0.5]) for _ in range(4)}
        game.reward(100.0 if game.evaluation else 1.0)
        game.end("loss" if game.evaluation else "win")
    return game.evaluation, actions


def test_a_share_of_the_games_evaluates_and_the_rest_is_trained_on(shared_server, redis, run, tmp_path):
    keys, records = Keys(run), tmp_path / "records"
    folder = RunFolder(tmp_path / "out")
    with (
        learning(shared_server.url, run, folder.path, 0.3),
        connect(shared_server.url, run, game=GAME, seed=1, records=records, journal=tmp_path / "journal") as agent,
    ):
        assert agent.wait_until_ready(PATIENCE_S)
        wait_until(lambda: redis.call("EXISTS", keys.evaluation))
        first, played, evaluated = play(agent, 0), 1, 0

        def enough():
            nonlocal played, evaluated
            for _ in range(10):
                evaluates, actions = play(agent, played)
                assert not evaluates or len(actions) == 1  # the most probable one each time
                played, evaluated = played + 1, evaluated + evaluates
            stats = hash_of(redis, keys.stats)
            return "evaluation_best" in stats and json.loads(stats["evaluation_best"])["episodes"] >= GAMES

        wait_until(enough)
        assert agent.flush(PATIENCE_S)
        status = agent.status
        wait_until(lambda: not redis.call("XLEN", keys.trajectories(agent.actor)))
        plan = EvaluationPlan.from_json(redis.call("GET", keys.evaluation))
        assert digest(redis.call("GET", keys.best)) == plan.best.digest
        assert digest(redis.call("GET", keys.candidate)) == plan.candidate.digest
    head, stats = hash_of(redis, keys.head), hash_of(redis, keys.stats)
    recorded = [json.loads(line) for line in records.read_text().splitlines()]
    # Each is counted once, where it belongs.
    assert status.evaluations == evaluated + first[0] == sum(each["evaluation"] for each in recorded)
    assert int(head["evaluation_games"]) == status.evaluations
    assert not any(each["trained_on"] for each in recorded if each["evaluation"])
    verdict = verify(shared_server.url, run, tmp_path / "journal")
    assert verdict.violations == []
    assert verdict.metrics["evaluation_games"] == status.evaluations
    # The figures of the two kinds are never mixed.
    assert (stats["return_mean"], stats["win_rate"]) == ("1", "1")
    assert (stats["eval_return_mean"], stats["eval_win_rate"]) == ("100", "0")
    labels = by_label(stats)
    assert labels.keys() == {"map", "opponent"}
    assert {value: (each["return_mean"], each["win_rate"]) for value, each in labels["map"].items()} == {
        "a": (1.0, 1.0), "b": (1.0, 1.0),
    }  # fmt: skip
    # The record has a line for each version that was evaluated, and the best.
    lines = read_lines(folder.evaluations)
    assert [line["episodes"] for line in lines] == [GAMES] * len(lines)
    assert {(line["mean"], line["wins"]) for line in lines} == {(100.0, 0)}
    assert lines[0]["seconds"] > 0
    snapshot, spec = read_checkpoint(folder.best_checkpoint())
    about = json.loads(folder.about_best.read_text())
    assert (snapshot.head.version, spec) == (about["version"], SPEC)
    assert about["evaluation"] == lines[0]  # no other was better
    best = json.loads(stats["evaluation_best"])
    assert (best["version"], best["chosen_by"]["episodes"]) == (about["version"], GAMES)
    assert read_lines(folder.metrics)[-1]["labels"]["map"]["a"]["games"] > 0


async def play_served(port, number):
    """Ten games side by side, so that their requests are computed together. Returns each one's end, and its actions."""
    games = range(number, number + 10)
    async with client(port) as it:
        for game in games:
            it.send("episode", id=game, labels={"map": "ab"[game % 2]})
        for _ in range(4):
            for game in games:
                it.send("act", id=game, observation=[1.0, 0.5])
        for game in games:
            it.send("end", id=game, outcome="win", reward=1)
        replies = [await it.reply() for _ in range(6 * len(games))]
    assert {each["type"] for each in replies} == {"episode", "act", "end"}
    ends = {each["id"]: each for each in replies if each["type"] == "end"}
    return [
        (ends[game], {each["action"] for each in replies if (each["type"], each["id"]) == ("act", game)})
        for game in games
    ]


def test_a_share_of_served_games_evaluates_too(shared_server, redis, run, tmp_path):
    keys, folder = Keys(run), RunFolder(tmp_path / "out")
    played = []
    with (
        learning(shared_server.url, run, folder.path, 0.3),
        connect(shared_server.url, run, seed=1) as agent,
        served(agent) as port,
    ):
        assert agent.wait_until_ready(PATIENCE_S)
        wait_until(lambda: redis.call("EXISTS", keys.evaluation))
        wait_until(lambda: played.extend(asyncio.run(play_served(port, len(played)))) or read_lines(folder.evaluations))
        assert agent.flush(PATIENCE_S)
        status = agent.status
        wait_until(lambda: not redis.call("XLEN", keys.trajectories(agent.actor)))
    evaluated = [(end, actions) for end, actions in played if end["reason"] == EVALUATION]
    assert not any(end["trained_on"] for end, _ in evaluated)
    assert {len(actions) for _, actions in evaluated} == {1}  # the most probable one each time
    assert max(len(actions) for end, actions in played if end["trained_on"]) == 2  # drawn
    assert len(evaluated) == status.evaluations == int(hash_of(redis, keys.head)["evaluation_games"])
    assert GAMES <= len(evaluated) < len(played) / 2
    first = read_lines(folder.evaluations)[0]
    assert (first["episodes"], first["mean"], first["wins"]) == (GAMES, 1.0, GAMES)
    assert first["version_seconds"] is None or first["version_seconds"] <= first["seconds"]
    assert verify(shared_server.url, run).violations == []


def test_with_step_updates_an_evaluation_is_of_one_version_to_its_end(shared_server, redis, run, tmp_path):
    with (
        learning(shared_server.url, run, tmp_path, 0.5),
        connect(shared_server.url, run, game=GAME, seed=1, update_policy="step") as agent,
    ):
        assert agent.wait_until_ready(PATIENCE_S)
        wait_until(lambda: agent.episode().evaluation)
        game = next(each for each in iter(agent.episode, None) if each.evaluation)
        version = game.version
        game.act([0.0, 0.0])
        wait_until(lambda: play(agent, 0) and agent.status.version > version + 2)
        game.act([0.0, 0.0])
        assert game.version == version
        game.end("win")
        assert agent.flush(PATIENCE_S)
    assert int(hash_of(redis, Keys(run).head)["evaluation_games"]) > 0


def test_a_run_that_wants_none_gets_none(shared_server, redis, run, tmp_path):
    with (
        learning(shared_server.url, run, tmp_path, 0.0),
        connect(shared_server.url, run, game=GAME, seed=1) as agent,
    ):
        assert agent.wait_until_ready(PATIENCE_S)
        assert not any(play(agent, number)[0] for number in range(50))
        assert agent.flush(PATIENCE_S)
    assert not redis.call("EXISTS", Keys(run).evaluation, Keys(run).candidate, Keys(run).best)
    assert not RunFolder(tmp_path).evaluations.exists()


@pytest.mark.parametrize("what", ["candidate", "plan"])
def test_what_a_client_cannot_use_of_the_plan_does_not_stop_its_games(shared_server, redis, run, tmp_path, what):
    keys = Keys(run)
    with learning(shared_server.url, run, tmp_path, 0.5):
        wait_until(lambda: redis.call("EXISTS", keys.evaluation))
    gone = EvaluationPlan(0.5, Pointer(1, 7, "c", "d" * 64, 100)).to_json()
    redis.call("SET", keys.evaluation, gone if what == "candidate" else "nonsense")
    with connect(shared_server.url, run, game=GAME, seed=1) as agent:
        wait_until(lambda: agent.status.problem or agent.status.connection == "connected", lambda: agent.status)
        for number in range(20):
            assert not play(agent, number)[0]
        agent.close(0.1)  # no learner makes room for all of them, which would be waited for
