"""The whole system learns: separate processes, a real server between them, Gymnasium's own game."""

from __future__ import annotations

import pytest
from support.runs import broodmind, last_json
from support.servers import WHOLE_RUN_S

# Ten times the steps that it takes: a budget of steps is the same on every machine, one of seconds is not.
SOLVED = ("--until-return", "475", "--max-steps", "1000000")
CARTPOLE = ("--game", "CartPole-v1", *SOLVED, "--eval-episodes", "20", "--json")


def up(*arguments, **options):
    process = broodmind("up", *arguments, **options)
    printed, shown = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 0, shown
    return last_json(printed)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_cartpole_is_solved_on_the_embedded_server(tmp_path, seed):
    summary = up(*CARTPOLE, "--seed", seed, "--out", str(tmp_path))
    assert summary["solved"]
    assert summary["return_mean"] >= 475
    assert summary["evaluation"]["mean"] >= 300


@pytest.mark.parametrize("shared_server", ["redis"], indirect=True)  # the embedded one is a Valkey
def test_cartpole_is_solved_on_a_server_of_its_own(tmp_path, shared_server, run):
    summary = up(*CARTPOLE, "--redis", shared_server.url, "--run", run, "--out", str(tmp_path))
    assert summary["solved"]
    assert summary["return_mean"] >= 475


FLAG_ALONE = """
import gymnasium


def make():
    game = gymnasium.make("MountainCarContinuous-v0")
    return gymnasium.wrappers.TransformReward(game, lambda reward: 100.0 if reward > 50 else 0.0)
"""


def test_a_game_with_a_distant_reward_is_solved_with_noise_that_lasts(tmp_path):
    """MountainCarContinuous without the cost of pushing: nothing is paid before the flag, many pushes one way off.

    Five seeds took 34,671 to 46,958 steps; with independent noise none found the flag often enough in 200,000.
    """
    (tmp_path / "flag_alone.py").write_text(FLAG_ALONE)
    game = ("--game", "flag_alone:make", "--until-return", "90", "--max-steps", "400000")
    game += ("--noise-correlation", "0.9")
    summary = up(*game, "--json", "--eval-episodes", "20", "--out", str(tmp_path / "run"), cwd=tmp_path)
    assert summary["solved"]
    assert summary["evaluation"]["mean"] >= 85


def test_tinyzerg_is_won(tmp_path):
    """What `make up` promises a newcomer, in as many steps."""
    summary = up("--max-steps", "500000", "--json", "--out", str(tmp_path))
    assert summary["evaluation"]["episodes"] == 100
    assert summary["evaluation"]["wins"] >= 90
