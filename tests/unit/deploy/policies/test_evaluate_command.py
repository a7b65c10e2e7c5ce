"""`broodmind evaluate`: whole games with the policy of a file or a run's folder, as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from broodmind.actors.games.registry import describe_game
from broodmind.common.errors import SpecMismatch
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import NetworkSpec, RunSpec
from broodmind.common.wire.policy_npz import policy_arrays
from broodmind.deploy.policies.evaluate_command import evaluate
from broodmind.deploy.records.export import write_npz


@pytest.fixture
def exported(tmp_path):
    """A function that writes a policy of random weights for a game; returns its path."""

    def write(game, folder=tmp_path):
        spec = RunSpec(describe_game(game), NetworkSpec((8,)))
        params = initial_params(spec.network, spec.game, np.random.default_rng(3))
        write_npz(folder / "x.npz", policy_arrays(params, spec, 2, 9))
        return folder / "x.npz"

    return write


def run(path, *options):
    result = CliRunner().invoke(evaluate, [str(path), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_the_results_are_one_json_object_and_a_seed_repeats_them(exported):
    path = exported("CartPole-v1")
    first, again, other = (
        json.loads(run(path, "--episodes", "20", "--json", "--seed", seed)) for seed in ("5", "5", "6")
    )
    assert first == again
    assert first["mean"] != other["mean"]
    about = {"path": str(path), "epoch": 2, "version": 9, "game": "CartPole-v1", "game_args": {}, "seed": 5}
    assert first.items() >= {**about, "greedy": True, "episodes": 20}.items()
    low, high = first["ci95"]
    assert low < first["mean"] < high


def test_what_the_game_prints_is_not_in_the_json(exported, tmp_path):
    (tmp_path / "loud.py").write_text("""
import gymnasium

def make():
    print("loud")
    return gymnasium.make("CartPole-v1")
""")
    command = [Path(sys.executable).with_name("broodmind"), "evaluate", exported("CartPole-v1"), "--json"]
    done = subprocess.run(
        [*command, "--episodes", "2", "--game", "loud:make"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["episodes"] == 2
    assert "loud" in done.stderr


def test_the_text_has_mean_interval_and_what_was_cut_off(exported):
    path = exported("TinyZerg")
    printed = run(path, "--episodes", "3", "--max-episode-steps", "2", "--sample")
    assert "version 9 of epoch 2, TinyZerg, sampled, seed 1" in printed
    assert "95 % confidence interval" in printed
    assert "3 games of 2.0 steps on average, 0 won; 3 games did not end and were cut off" in printed


def test_a_two_player_game_is_evaluated_against_each_scripted_player(exported):
    found = json.loads(run(exported("ConnectFour"), "--episodes", "4", "--json"))
    assert set(found["evaluations"]) == {"ConnectFour@random", "ConnectFour@lookahead"}
    assert found["mean"] == found["evaluations"]["ConnectFour@random"]["mean"]


def test_another_game_than_the_policys_is_refused(exported):
    with pytest.raises(SpecMismatch, match="observation_shape of game CartPole-v1"):
        run(exported("TinyZerg"), "--game", "CartPole-v1")
