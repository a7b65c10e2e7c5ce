"""The record of a run of `learner --out` and `actors`: it goes on after a killed learner, and after lost versions."""

from __future__ import annotations

import json
import signal

import pytest
from support.event_files import scalars
from support.learners import counters
from support.runs import broodmind, running
from support.servers import KINDS, PATIENCE_S, wait_until

from broodmind.common.errors import ConfigError
from broodmind.common.server.keys import Keys
from broodmind.deploy.config.effective import effective
from broodmind.deploy.config.given import of_file
from broodmind.deploy.records.run_folder import RunFolder, read_lines, read_object

# The files do not depend on the kind of the server.
pytestmark = pytest.mark.parametrize("shared_server", KINDS[:1], indirect=True)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "out")


@pytest.fixture
def common(shared_server, run):
    return ("--redis", shared_server.url, "--run", run)


@pytest.fixture
def playing(common):
    with running("actors", *common, "--actors", "1", "--envs", "8"):
        yield


def learner(folder, *arguments):
    return broodmind("learner", *arguments, "--batch-steps", "512", "--out", str(folder.path))


def drained(process):
    process.send_signal(signal.SIGTERM)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    return shown


def versions(folder):
    return [line["version"] for line in read_lines(folder.metrics)]


def trained(folder, count):
    wait_until(lambda: len(versions(folder)) >= count)


def test_a_killed_learner_s_record_goes_on_with_the_next_one(folder, common, playing, redis, run):
    process = learner(folder, *common, "--gamma", "0.9")
    trained(folder, 5)
    process.kill()
    process.communicate()
    redis.call("DEL", Keys(run).lease)
    resumed = int(counters(redis, Keys(run))["steps"])
    process = learner(folder, *common, "--gamma", "0.9")
    before = len(versions(folder))
    trained(folder, before + 5)
    drained(process)

    found = versions(folder)
    head = counters(redis, Keys(run))
    assert found[0] == 2
    assert found[-1] == int(head["version"])
    assert (
        len(set(found)) == len(found) >= int(head["version"]) - 2
    )  # the kill may have come between a commit and its line
    lines = read_lines(folder.metrics)
    assert lines[-1]["steps"] == int(head["steps"])
    for name in ("steps", "seconds", "time", "games"):
        assert [line[name] for line in lines] == sorted(line[name] for line in lines)
    assert {"policy_loss", "value_loss", "return_mean", "staleness_p95", "rejected"} <= lines[-1].keys()

    about = read_object(folder.about)
    assert (about["run"], about["game"], about["algo"]) == (run, "TinyZerg", "ppo")
    assert [start["resumed_steps"] for start in about["starts"]] == [0, resumed]
    assert about["starts"][1]["settings"] == {"gamma": 0.9, "batch_steps": 512}
    read = effective(of_file(folder.config))
    assert (read.algorithm.gamma, read.run, read.record.out) == (0.9, run, None)
    points = scalars(folder.tensorboard)
    assert [step for step, _, _ in points["train/n_updates"]] == [line["steps"] for line in lines]
    assert folder.curve.read_bytes()[:4] == b"\x89PNG"
    assert folder.last_checkpoint() is not None


def test_a_server_that_lost_versions_takes_their_lines_with_it(folder, common, playing, redis, run):
    """What is restored from the last checkpoint is what the record goes on from."""
    every = ("--checkpoint-every", "1000")
    process = learner(folder, *common, *every)
    trained(folder, 3)
    drained(process)
    kept = versions(folder)
    process = learner(folder, *common, *every)
    trained(folder, len(kept) + 3)
    process.kill()
    process.communicate()
    lost = versions(folder)[-1]
    redis.call("DEL", *(key for key in redis.call("KEYS", f"broodmind:{{{run}}}:*")))
    process = learner(folder, *common, *every)
    wait_until(lambda: read_lines(folder.metrics)[-1]["epoch"] > 1)
    drained(process)
    lines = read_lines(folder.metrics)
    assert [line["version"] for line in lines if line["epoch"] == 1] == kept
    assert next(line["version"] for line in lines if line["epoch"] > 1) == kept[-1] + 2 < lost
    steps = [line["steps"] for line in lines]
    assert steps == sorted(set(steps))
    assert [step for step, _, _ in scalars(folder.tensorboard)["train/n_updates"]] == steps


def test_a_folder_of_another_run_is_refused_before_anything_is_touched(folder, common):
    folder.path.mkdir()
    folder.about.write_text(json.dumps({"run": "other"}))
    process = learner(folder, *common)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ConfigError.exit_code
    assert 'has a run with run "other"' in shown
    assert [path.name for path in folder.path.iterdir()] == ["run.json"]
