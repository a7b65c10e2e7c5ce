"""The best version: chosen by its evaluation, kept as a checkpoint, over all starts of the run."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC

import broodmind
from broodmind.deploy.policies.best_version import BestVersion
from broodmind.deploy.policies.evaluation import Evaluation
from broodmind.deploy.records.run_folder import RunFolder, read_lines, read_object
from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.warm_start import read_warm_start
from broodmind.learner.run.run_state import RunState


def version(number, steps=None, epoch=1):
    """A run's state with this version; its weights are of this version's own seed."""
    snapshot = RunState("x", replace(SPEC, seed=number), LearnerConfig()).first_version(Head(), epoch)[1]
    spec = replace(SPEC, seed=number)
    counters = replace(snapshot.counters, steps=100 * number if steps is None else steps)
    return replace(snapshot, head=replace(snapshot.head, version=number), counters=counters), spec


def played(mean, wins=None):
    return {"toy": Evaluation(np.array([mean - 1, mean + 1.0]), np.array([3, 5]), wins)}


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def add(best, number, mean, **more):
    snapshot, spec = version(number, **more)
    return best.add(snapshot, spec, played(mean))


def test_the_version_with_the_highest_mean_is_kept_and_of_equal_ones_the_newest(folder):
    best = BestVersion(folder)
    assert [add(best, number, mean) for number, mean in ((3, 5.0), (4, 4.0), (7, 5.0), (9, 4.9))] == [1, 0, 1, 0]
    assert [path.name for path in folder.best.glob("*.msgpack")] == ["checkpoint-0001-000000007.msgpack"]
    assert read_object(folder.about_best).items() >= {"version": 7, "epoch": 1, "steps": 700}.items()
    assert broodmind.load(folder.path).version == 7
    lines = read_lines(folder.evaluations)
    assert [line["version"] for line in lines] == [3, 4, 7, 9]
    assert read_object(folder.about_best)["evaluation"] == lines[2]
    assert lines[0].pop("time") <= lines[1]["time"]
    first = {"version": 3, "epoch": 1, "steps": 300, "seconds": None, "mean": 5.0, "std": 1.414, "episodes": 2}
    assert lines[0] == {**first, "wins": None, "version_time": None, "version_seconds": None}


def test_a_line_says_when_the_evaluation_was_done_and_when_its_version_was_committed(folder):
    folder.path.mkdir()
    updates = [{"epoch": 1, "version": number, "time": 1000.0 + number, "seconds": float(number)} for number in (3, 8)]
    folder.metrics.write_text("".join(json.dumps(update) + "\n" for update in updates))
    add(BestVersion(folder), 3, 5.0)  # while it was evaluated, the run came to version 8
    (line,) = read_lines(folder.evaluations)
    assert (line["version_time"], line["version_seconds"]) == (1003.0, 3.0)
    assert line["seconds"] == 8.0
    assert line["time"] == pytest.approx(time.time(), abs=60)


def test_the_best_checkpoint_starts_another_run(folder):
    snapshot, spec = version(3)
    BestVersion(folder).add(snapshot, spec, played(1.0))
    started = read_warm_start(folder.checkpoint("best"), spec)
    np.testing.assert_array_equal(started.params["policy/w0"], snapshot.params(spec)["policy/w0"])


def test_a_later_start_goes_on_with_the_best_of_the_earlier_ones(folder):
    add(BestVersion(folder), 3, 5.0)
    again = BestVersion(folder)
    assert again.is_evaluated(version(3)[0])
    assert not again.is_evaluated(version(4)[0])
    assert not add(again, 4, 4.5)
    assert add(BestVersion(folder), 5, 5.5)
    assert broodmind.load(folder.path).version == 5


def test_returns_that_are_no_numbers_are_recorded_as_null_and_never_the_best(folder):
    best = BestVersion(folder)
    snapshot, spec = version(3)
    assert not best.add(snapshot, spec, {"toy": Evaluation(np.array([np.nan, 1]), np.array([1, 1]))})
    assert json.loads(folder.evaluations.read_text(), parse_constant=pytest.fail)["mean"] is None
    assert add(best, 4, -1e9)


def test_a_version_that_plays_several_games_counts_by_the_mean_of_them(folder):
    best = BestVersion(folder)
    snapshot, spec = version(3)
    assert best.add(snapshot, spec, {"a": played(1.0, 1)["toy"], "b": played(3.0, 2)["toy"]})
    (line,) = read_lines(folder.evaluations)
    assert (line["mean"], line["wins"], line["episodes"]) == (2.0, 3, 4)
    assert line["games"]["b"]["mean"] == 3.0


def test_evaluations_of_lost_versions_are_dropped_and_the_best_stays(folder):
    best = BestVersion(folder)
    for number in (3, 6, 9):
        add(best, number, float(number))
    best.forget_lost(2, 600)
    add(best, 7, 1.0, epoch=2)
    best.forget_lost(2, 600)
    assert [(line["epoch"], line["version"]) for line in read_lines(folder.evaluations)] == [(1, 3), (1, 6), (2, 7)]
    assert broodmind.load(folder.path).version == 9


def test_a_best_version_whose_file_was_deleted_is_none(folder):
    add(BestVersion(folder), 3, 5.0)
    folder.checkpoint("best").unlink()
    assert add(BestVersion(folder), 4, 1.0)
