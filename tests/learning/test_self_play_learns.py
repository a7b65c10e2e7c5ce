"""Self-play learns connect four from games against its own versions: the whole system, in separate processes."""

from __future__ import annotations

from support.runs import broodmind, last_json
from support.servers import WHOLE_RUN_S


def test_connect_four_is_learnt_by_self_play(tmp_path):
    """With default settings. Untrained it loses to the lookahead player in nineteen games of twenty."""
    options = ("--game", "ConnectFour", "--max-steps", "200000", "--eval-episodes", "400", "--json")
    process = broodmind("up", *options, "--out", str(tmp_path))
    printed, shown = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 0, shown
    evaluations = last_json(printed)["evaluations"]
    assert evaluations["ConnectFour@random"]["wins"] >= 0.9 * 400
    assert evaluations["ConnectFour@lookahead"]["wins"] >= 0.5 * 400
    assert "greedy evaluation by ConnectFour@lookahead" in shown
