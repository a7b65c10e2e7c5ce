"""The end of a run: its last version takes part in the choice, and both are evaluated in games that chose neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import taken_lease

from broodmind.actors.config import ActorsConfig
from broodmind.actors.games.tinyzerg import TinyZerg
from broodmind.common.server.keys import Keys
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.deploy.config.tree import Config, EvaluationConfig
from broodmind.deploy.policies.best_version import BestVersion
from broodmind.deploy.policies.evaluation import Evaluation
from broodmind.deploy.policies.evaluator import EvaluatorTask, task_of
from broodmind.deploy.policies.final_evaluation import evaluate_at_the_end
from broodmind.deploy.records.run_folder import RunFolder, read_lines
from broodmind.learner.commit.commit import send
from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.run.run_state import RunState

SPEC = RunSpec(TinyZerg.spec, NetworkSpec((8,)))
TASK = EvaluatorTask("TinyZerg", 4, 0)


def state(seed):
    """The state of a run whose weights are of this seed, and the commit that makes it."""
    spec = replace(SPEC, seed=seed)
    return (*RunState("x", spec, LearnerConfig()).first_version(Head(), 1), spec)


@pytest.fixture
def keys(redis, run):
    """Those of a run that has ended, with one version."""
    keys, (commit, _, spec) = Keys(run), state(1)
    redis.call("HSET", keys.spec, "json", spec.to_json())
    send(redis, keys, taken_lease(redis, keys), commit)
    return keys


def test_the_only_version_is_the_best_one_too_and_is_not_played_twice(redis, keys, tmp_path):
    folder = RunFolder(tmp_path)
    end = evaluate_at_the_end(redis, keys, folder, TASK, 6)
    assert end.best is end.last
    assert end.best_version == 1
    assert end.last["TinyZerg"].episodes == end.last_sampled["TinyZerg"].episodes == 6
    assert end.last["TinyZerg"].lengths.tolist() != end.last_sampled["TinyZerg"].lengths.tolist()
    (line,) = read_lines(folder.evaluations)
    assert (line["version"], line["episodes"]) == (1, 4)


def test_an_earlier_version_that_was_better_is_evaluated_beside_the_last_in_the_same_games(redis, keys, tmp_path):
    folder, (_, other, spec) = RunFolder(tmp_path), state(2)
    other = replace(other, head=replace(other.head, version=77))
    BestVersion(folder).add(other, spec, {"TinyZerg": Evaluation(np.array([99.0, 99.0]), np.array([1, 1]), 2)})
    end = evaluate_at_the_end(redis, keys, folder, TASK, 6)
    assert (end.best_epoch, end.best_version) == (1, 77)
    assert end.best["TinyZerg"].returns.tolist() != end.last["TinyZerg"].returns.tolist()
    assert end.best["TinyZerg"].mean < 2  # played anew, and not the number that it was chosen by
    assert [line["version"] for line in read_lines(folder.evaluations)] == [77, 1]
    evaluate_at_the_end(redis, keys, folder, TASK, 6)
    assert len(read_lines(folder.evaluations)) == 2  # the last version has been evaluated


def test_a_best_version_that_cannot_be_read_leaves_the_evaluation_of_the_last(redis, keys, tmp_path):
    folder = RunFolder(tmp_path)
    folder.evaluations.mkdir(parents=True)  # no file to write to
    end = evaluate_at_the_end(redis, keys, folder, TASK, 6)
    assert end.best is None
    assert end.last["TinyZerg"].episodes == 6


def test_no_more_copies_of_the_game_are_made_than_an_actor_has(redis, keys, tmp_path, monkeypatch):
    made = []

    def make(*arguments, **_):
        made.append(arguments[1])
        return TinyZerg(arguments[1])

    monkeypatch.setattr("broodmind.deploy.policies.evaluation.make_game", make)
    config = Config(actors=ActorsConfig(envs=2), evaluation=EvaluationConfig(choosing_episodes=3))
    end = evaluate_at_the_end(redis, keys, RunFolder(tmp_path), task_of(config), 5)
    assert end.last["TinyZerg"].episodes == 5
    assert made == [2, 2, 2]


def test_a_run_without_a_version_has_no_evaluation(redis, run, tmp_path):
    assert evaluate_at_the_end(redis, Keys(run), RunFolder(tmp_path), TASK, 6) is None
