"""A seat learns connect four from nothing but games against its own versions: the whole system, separate processes."""

from __future__ import annotations

from support.runs import broodmind, last_json

SETTINGS = ("--activation", "relu", "--hidden", "128,128", "--rate", "1e-3", "--set", "entropy=0.03")
STEPS = ("--envs", "128", "--max-steps", "300000")


def test_connect_four_is_learnt_by_self_play(tmp_path):
    """Untrained it wins about half of its games against the random player, and 3 % against the lookahead player."""
    options = ("--game", "ConnectFour", *SETTINGS, *STEPS, "--json", "--out", str(tmp_path))
    process = broodmind("up", *options, "--eval-episodes", "400")
    printed, shown = process.communicate(timeout=250)
    assert process.returncode == 0, shown
    evaluations = last_json(printed)["evaluations"]
    assert evaluations["ConnectFour@random"]["wins"] >= 0.85 * 400
    assert evaluations["ConnectFour@lookahead"]["wins"] >= 0.15 * 400
    assert "greedy evaluation by ConnectFour@lookahead" in shown
