"""The evaluator: evaluates versions of a run while it is trained, keeps the best, and changes nothing of the run."""

from __future__ import annotations

from contextlib import closing

from click.testing import CliRunner
from support.learners import counters
from support.runs import NEVER, SPEC, broodmind, lock_step_run, running
from support.servers import PATIENCE_S, wait_until

import broodmind as package
from broodmind.common.errors import ConfigError, SpecMismatch
from broodmind.common.server.keys import Keys
from broodmind.deploy.access.acl import rights_of
from broodmind.deploy.policies.evaluator_command import evaluator
from broodmind.deploy.records.run_folder import RunFolder, read_lines, read_object
from broodmind.learner.commit.commit import send
from broodmind.learner.commit.lease import Lease
from broodmind.learner.config import LearnerConfig
from broodmind.learner.ledger.head import Head
from broodmind.learner.run.run_state import RunState

FAST = ("--eval-cpu", "1", "--choosing-episodes", "2")


def test_it_evaluates_a_run_that_is_trained_and_keeps_the_best_version(shared_server, redis, run, tmp_path):
    common = ("--redis", shared_server.url, "--run", run)
    folder = RunFolder(tmp_path / "out")
    with (
        running("evaluator", *common, *FAST, "--eval-every", "2000", "--out", str(folder.path)),  # before the run
        running("learner", *common, "--batch-steps", "256"),
        running("actors", *common, "--envs", "8"),
    ):
        wait_until(lambda: len(read_lines(folder.evaluations)) >= 3)
    lines = read_lines(folder.evaluations)
    windows = [line["steps"] // 2000 for line in lines]
    assert windows == sorted(set(windows))
    assert windows[0] >= 1
    assert all(line["episodes"] == 2 and line["wins"] in range(3) for line in lines)
    best = read_object(folder.about_best)
    assert best["evaluation"]["mean"] == max(line["mean"] for line in lines if line["steps"] <= best["steps"])
    policy = package.load(folder.path)
    assert (policy.epoch, policy.version) == (best["epoch"], best["version"])


def test_a_run_in_lock_step_is_the_same_with_an_evaluator_bit_for_bit(each_server, run, tmp_path):
    """With one, on each kind of server, as without one."""

    def play(server, name):
        keys, batch = Keys(name), ("--fragment-length", "16", "--batch-steps", "128")
        with closing(server.connect()) as redis:
            lock_step_run(server, name, *batch, "--seed", "5", "--max-steps", "3000")
            return redis.call("GET", keys.weights(1, counters(redis, keys)["version"]))

    alone = play(each_server[0], f"{run}-1")
    for server in each_server:
        folder = RunFolder(tmp_path / server.kind)
        watched = ("--redis", server.url, "--run", f"{run}-2", *FAST, "--out", str(folder.path))
        with running("evaluator", *watched):
            assert play(server, f"{run}-2") == alone
            wait_until(lambda folder=folder: read_lines(folder.evaluations))


def test_its_user_in_the_acl_file_may_read_the_run_and_write_nothing(run):
    rules = rights_of(run, ["box1"], introduces=False)[f"{run}~evaluator"]
    assert "+multi +exec" in rules
    assert "%W" not in rules
    assert "%RW" not in rules
    assert "trajectories" not in rules


def test_it_cannot_be_without_a_folder():
    result = CliRunner().invoke(evaluator, ["--run", "x"])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("out: none, expected a folder")


def test_another_game_than_the_runs_ends_it_with_an_error(shared_server, redis, run, tmp_path):
    common = ("--redis", shared_server.url, "--run", run)
    redis.call("HSET", Keys(run).spec, "json", SPEC.to_json())
    commit = RunState(run, SPEC, LearnerConfig()).first_version(Head(), 1)[0]
    lease = Lease(Keys(run), 60_000)
    lease.acquire(redis, NEVER, 0)
    send(redis, Keys(run), lease, commit)
    redis.call("HSET", Keys(run).head, "steps", 100)
    process = broodmind("evaluator", *common, *FAST, "--game", "TinyZerg", "--out", str(tmp_path))
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == SpecMismatch.exit_code, shown
    assert "observation_shape of game TinyZerg" in shown
