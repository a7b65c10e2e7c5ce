"""TensorBoard's files of a run: tags, and that they follow the run's own files through stops and lost versions."""

from __future__ import annotations

import json

import pytest
from support.event_files import scalars

from broodmind.deploy.recording.tensorboard import TensorBoardFiles
from broodmind.deploy.records.run_folder import RunFolder

REWARD = "rollout/ep_rew_mean"


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def an_update(version, seconds=None, **more):
    seconds = version / 10 if seconds is None else seconds
    fields = {"version": version, "epoch": 1, "steps": 100 * version, "games": version, "seconds": seconds}
    return {"time": 1.7e9 + seconds, **fields, "return_mean": float(version), **more}


def add(path, *lines):
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def derive(folder):
    files = TensorBoardFiles(folder)
    files.close()


def steps(folder, tag=REWARD):
    return [step for step, _, _ in scalars(folder.tensorboard)[tag]]


def test_tags_are_those_that_users_of_stable_baselines3_look_for(folder):
    known = {"return_mean": 7.5, "length_mean": 20.0, "win_rate": 0.25, "policy_loss": -0.5, "value_loss": 2.0}
    more = {"entropy": 0.5, "kl": 0.125, "clip_fraction": 0.0625, "effective_rate": 0.75, "steps_per_second": 4000}
    labels = {"map": {"Ladder": {"games": 8, "return_mean": 0.5, "win_rate": None}}}
    own = {"supply": 12.0, "none": None}
    add(folder.metrics, an_update(3, **known, **more, metrics=own, rejected={"stale": 4}, labels=labels))
    add(
        folder.evaluations,
        {"version": 3, "steps": 300, "seconds": 0.5, "mean": 9.0, "std": 1.5, "episodes": 4, "wins": 3},
    )
    derive(folder)
    found = {tag: points[0][:2] for tag, points in scalars(folder.tensorboard).items()}
    assert found == {
        "time/time_elapsed": (300, pytest.approx(0.3)),
        "time/fps": (300, 4000.0),
        "rollout/ep_rew_mean": (300, 7.5),
        "rollout/ep_len_mean": (300, 20.0),
        "rollout/success_rate": (300, 0.25),
        "train/policy_gradient_loss": (300, -0.5),
        "train/value_loss": (300, 2.0),
        "train/entropy_loss": (300, -0.5),
        "train/approx_kl": (300, 0.125),
        "train/clip_fraction": (300, 0.0625),
        "train/learning_rate": (300, 0.75),
        "train/n_updates": (300, 3.0),
        "custom/supply": (300, 12.0),
        "by_map/Ladder/ep_rew_mean": (300, 0.5),
        "rejected/stale": (300, 4.0),
        "eval/mean_reward": (300, 9.0),
        "eval/std_reward": (300, 1.5),
        "eval/success_rate": (300, 0.75),
    }


def test_a_game_for_two_has_a_curve_against_each_player(folder):
    games = {"ConnectFour@random": {"mean": 0.9}, "ConnectFour@lookahead": {"mean": None}}
    add(folder.evaluations, {"steps": 5, "seconds": 1.0, "mean": 0.5, "std": None, "wins": None, "games": games})
    derive(folder)
    found = {tag: points[0][:2] for tag, points in scalars(folder.tensorboard).items()}
    assert found == {"eval/mean_reward": (5, 0.5), "eval/mean_reward/ConnectFour@random": (5, pytest.approx(0.9))}


def test_wall_times_are_those_of_the_updates_and_of_the_evaluations(folder):
    add(folder.metrics, an_update(1, 10.0), an_update(2, 20.0))
    add(folder.evaluations, {"version": 1, "steps": 100, "seconds": 12.5, "mean": 1.0})
    derive(folder)
    found = scalars(folder.tensorboard)
    assert [time for _, _, time in found[REWARD]] == [1.7e9 + 10, 1.7e9 + 20]
    assert found["eval/mean_reward"] == [(100, 1.0, 1.7e9 + 12.5)]


def test_an_evaluation_before_any_update_that_is_known_was_just_made(folder):
    add(folder.evaluations, {"version": 1, "steps": 100, "seconds": 12.5, "mean": 1.0})
    derive(folder)
    ((_, _, time_s),) = scalars(folder.tensorboard)["eval/mean_reward"]
    assert time_s == pytest.approx(folder.evaluations.stat().st_mtime, abs=60)


def test_what_is_not_known_has_no_point(folder):
    add(folder.metrics, an_update(1, return_mean=None), an_update(2))
    derive(folder)
    assert steps(folder) == [200]


def test_the_files_follow_the_run_while_it_goes_on(folder):
    files = TensorBoardFiles(folder)
    assert not files.update()
    assert not folder.tensorboard.exists()  # a run that never trained has none
    for version in (1, 2, 3):
        add(folder.metrics, an_update(version))
        assert files.update()
        assert steps(folder) == [100 * each for each in range(1, version + 1)]
    files.close()


def test_a_resumed_run_goes_on_where_it_ended(folder):
    add(folder.metrics, an_update(1), an_update(2))
    derive(folder)
    derive(folder)  # nothing is new
    add(folder.metrics, an_update(3))
    derive(folder)
    assert steps(folder) == [100, 200, 300]


def test_points_of_lost_versions_are_gone(folder):
    add(folder.metrics, *map(an_update, range(1, 6)))
    derive(folder)
    kept = folder.metrics.read_text().splitlines(keepends=True)[:2]
    folder.metrics.write_text("".join(kept))
    add(folder.metrics, an_update(3, return_mean=-1.0), an_update(4))
    derive(folder)
    assert [point[:2] for point in scalars(folder.tensorboard)[REWARD]] == [
        (100, 1.0),
        (200, 2.0),
        (300, -1.0),
        (400, 4.0),
    ]
    assert len(list(folder.tensorboard.glob("events.*"))) == 1  # the old points are not in a file that others may read


def test_of_a_long_run_no_more_than_a_point_a_second_is_kept_and_the_last_one(folder):
    add(folder.metrics, *(an_update(version) for version in range(1, 3025)))  # ten a second
    derive(folder)
    found = steps(folder)
    assert found[:1000] == [100 * version for version in range(1, 1001)]
    assert found[1000:1003] == [101_000, 102_000, 103_000]
    assert len(found) == 1000 + 202 + 1
    assert found[-1] == 302_400


def test_damaged_state_of_an_earlier_process_costs_nothing_but_time(folder):
    add(folder.metrics, an_update(1))
    derive(folder)
    (folder.tensorboard / "position.json").write_text('{"metrics": {"end": -5}}')
    derive(folder)
    assert set(steps(folder)) == {100}


def test_an_evaluation_of_a_run_without_an_update_is_a_point(folder):
    """It was stopped before its first; so it has no seconds of training."""
    add(folder.evaluations, {"version": 1, "steps": 0, "seconds": None, "time": 1.7e9, "mean": 9.0, "episodes": 4})
    derive(folder)
    assert scalars(folder.tensorboard)["eval/mean_reward"][0][:2] == (0, 9.0)
