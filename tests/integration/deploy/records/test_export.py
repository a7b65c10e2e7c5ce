"""Models out of a run and into one: the original bot's file, an export of any network, a checkpoint."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from support.bot_files import ENTRIES, model_arrays, probabilities, write_games, write_model
from support.documents import documented, replaced
from support.marks import one_kind
from support.runs import broodmind, hash_of, last_json, running
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import ConfigError
from broodmind.common.policy.categorical import log_softmax
from broodmind.common.policy.network import policy_outputs
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import Server
from broodmind.deploy.local.summary import latest_policy
from broodmind.learner.persistence.run_snapshot import load_snapshot

RELU = ("--game", "ZergMacro", "--activation", "relu")
STATES = np.random.default_rng(5).uniform(0, 2, (300, 15)).astype(np.float32)


def ended(*arguments, code=0, **options):
    process = broodmind(*map(str, arguments), **options)
    try:
        printed, shown = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()  # what should have ended by itself must not outlive the test
    assert process.returncode == code, shown
    assert "Traceback" not in shown
    return printed or shown


def of_the_run(url, run):
    """The latest version's probabilities, computed as actors do."""
    server = Server(url)
    policy, spec = latest_policy(server, Keys(run))
    server.close()
    return np.exp(log_softmax(policy_outputs(policy.params, spec.network, STATES)))


def test_the_original_bot_plays_the_policy_trained_from_its_model_and_games(shared_server, redis, run, tmp_path):
    """The whole move: its model starts the run, its games train it, and it loads the outcome by plain numpy.

    By the lines of docs/migrating.md.
    """
    url, keys = shared_server.url, Keys(run)
    here = {"cwd": tmp_path, "env": {**os.environ, "BROODMIND_REDIS": url}}
    (tmp_path / "models").mkdir()
    model = write_model(tmp_path / "models" / "rl_agent_model.npz")
    write_games(tmp_path / "experience", 40, 60)
    start = replaced(documented("docs/migrating.md", "broodmind learner --redis"), {"redis://127.0.0.1:6379": url})
    others = (
        documented("docs/migrating.md", "broodmind import experience"),
        documented("docs/migrating.md", "broodmind status"),
        documented("docs/migrating.md", "broodmind export"),
    )
    start, importing, showing, exporting = (
        replaced(line, {"--run zerg": f"--run {run}"}).split()[1:] for line in (start, *others)
    )
    with running(*start, **here):
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        np.testing.assert_allclose(of_the_run(url, run), probabilities(model_arrays(), STATES), atol=1e-6)
        report = last_json(ended(*importing, "--json", **here))
        wait_until(lambda: int(hash_of(redis, keys.head)["steps"]) == report["steps"])
        head = json.loads(ended(*showing, **here))["head"]
        assert head["accepted"] == head["imported"] == str(report["entries"])
    ended(*exporting, **here)
    with np.load(model) as exported:
        assert set(exported.files) == {*ENTRIES, "baseline", "episode_count"}
        assert exported["episode_count"][0] == 40
        played = probabilities(exported, STATES)
    np.testing.assert_allclose(played, of_the_run(url, run), atol=1e-6)
    assert np.abs(played - probabilities(model_arrays(), STATES)).max() > 1e-3  # it has learnt


def test_the_exported_baseline_is_reinforces_moving_average(shared_server, redis, run, tmp_path):
    common = ("--redis", shared_server.url, "--run", run)
    files = write_games(tmp_path / "games", 16)
    with running("learner", *common, *RELU, "--algo", "reinforce", "--accept-imported"):
        ended("import", *common, *files, "--behaviour", "uniform")
        wait_until(lambda: int(hash_of(redis, Keys(run).head).get("games", 0)) == 16)
    ended("export", *common, "--to", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as exported:
        assert exported["baseline"].shape == (1,)
        assert exported["baseline"][0] != 0


@one_kind
@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--game", "TinyZerg"), "activation: tanh, expected relu"),
        ((*RELU, "--hidden", "32,32"), "hidden: (32, 32), expected (64, 64)"),
        ((*RELU, "--shared"), "shared: True, expected False"),
        ((*RELU, "--normalize-observations"), "normalize_observations: True, expected False"),
        (("--game", "CartPole-v1", "--activation", "relu"), "observation_shape: (4,), expected (15,)"),
    ],
)
def test_a_network_that_the_bots_format_cannot_hold_is_refused_by_the_field_and_exported_in_ours(
    shared_server, redis, run, tmp_path, options, field
):
    common, target = ("--redis", shared_server.url, "--run", run), tmp_path / "x.npz"
    with running("learner", *common, *options):
        wait_until(lambda: redis.call("EXISTS", Keys(run).latest))
    assert field in ended("export", *common, "--to", target, "--layout", "bot", code=ConfigError.exit_code)
    assert not target.exists()
    ended("export", *common, "--to", target)
    params = load_snapshot(redis, Keys(run)).params(latest_policy(redis, Keys(run))[1])
    with np.load(target) as exported:
        assert set(exported.files) == {*params, "spec", "epoch", "version"}
        for name, array in params.items():
            np.testing.assert_array_equal(exported[name], array)


def test_a_run_is_exported_while_it_learns(shared_server, redis, run, tmp_path):
    common = ("--redis", shared_server.url, "--run", run)
    with (
        running("actors", *common, "--envs", "8"),
        running("learner", *common, "--activation", "relu", "--batch-steps", "64", "--fragment-length", "8"),
    ):
        wait_until(lambda: int(hash_of(redis, Keys(run).head).get("version", 0)) > 20)
        ended("export", *common, "--to", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as exported:
        assert np.isfinite(probabilities(exported, STATES)).all()


@one_kind
def test_a_new_run_starts_where_another_ended(shared_server, redis, run, tmp_path):
    """From a checkpoint, from an export, and from a folder of checkpoints."""
    url, common = shared_server.url, ("--redis", shared_server.url, "--run", run)
    with running("actors", *common, "--envs", "8"):
        ended("learner", *common, "--checkpoint-dir", tmp_path / "kept", "--batch-steps", "256", "--max-steps", "2000")
    (checkpoint, *_) = sorted((tmp_path / "kept").iterdir(), reverse=True)
    ended("export", "--checkpoint", checkpoint, "--to", tmp_path / "x.npz", "--layout", "params")
    for source in (checkpoint, tmp_path / "x.npz", tmp_path / "kept"):
        name = f"{run}-{source.name}"
        with running("learner", "--redis", url, "--run", name, "--seed", "8", "--init-from", source):
            wait_until(lambda name=name: redis.call("EXISTS", Keys(name).latest))
            head = hash_of(redis, Keys(name).head)
            assert (head["epoch"], head["version"], head["steps"]) == ("1", "1", "0")
            np.testing.assert_array_equal(of_the_run(url, name), of_the_run(url, run))


@one_kind
def test_a_run_that_exists_cannot_start_from_a_file(shared_server, redis, run, tmp_path):
    common = ("--redis", shared_server.url, "--run", run, *RELU, "--lease-ttl", "3")
    model, kept = write_model(tmp_path / "m.npz"), ("--checkpoint-dir", str(tmp_path / "kept"))
    with running("learner", *common, *kept):
        wait_until(lambda: redis.call("EXISTS", Keys(run).latest))
    before = hash_of(redis, Keys(run).head)
    again = ("learner", *common, "--init-from", model)
    assert f"run {run} is at version 1, expected a new one" in ended(*again, code=ConfigError.exit_code)
    assert hash_of(redis, Keys(run).head) == before
    # Nor one that was lost, and of which there is a checkpoint.
    for key in redis.call("KEYS", f"broodmind:{{{run}}}:*"):
        redis.call("DEL", key)
    assert "expected a new one" in ended(*again, *kept, code=ConfigError.exit_code)


@one_kind
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--run", "nothing"), "run: 'nothing', expected the name of a run"),
        ((), "expected exactly one of the two"),
        (("--run", "x", "--checkpoint", "y"), "expected exactly one of the two"),
        (("--checkpoint", "y"), "checkpoint y: "),
    ],
)
def test_exporting_from_an_unknown_or_ambiguous_source_is_refused(shared_server, tmp_path, arguments, expected):
    line = ended("export", "--redis", shared_server.url, *arguments, "--to", tmp_path / "x", code=ConfigError.exit_code)
    assert expected in line
