"""REINFORCE with an update for each game: what is played is trained on, and something is learnt.

With 64 games side by side, 64 versions pass while a game is played. A fixed limit of staleness rejected 86 % of them.
"""

from __future__ import annotations

from support.runs import broodmind, last_json
from support.servers import WHOLE_RUN_S

from broodmind.deploy.records.run_folder import RunFolder, read_lines


def test_tinyzerg_is_learnt_game_by_game_and_hardly_any_game_is_rejected(tmp_path):
    """In seven runs of so many steps the return ended between 0.7 and 0.9; it begins at -1."""
    options = ("--algo", "reinforce", "--batch-games", "1", "--max-steps", "200000", "--anneal-steps", "0", "--json")
    process = broodmind("up", *options, "--out", str(tmp_path))
    printed, shown = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 0, shown
    summary = last_json(printed)
    updates = [line for line in read_lines(RunFolder(tmp_path).metrics) if "batch_games" in line]
    assert {line["batch_games"] for line in updates} == {1.0}
    assert summary["rejected"]["stale"] <= 0.05 * summary["games"]
    trained = sum(line["batch_steps"] for line in updates)
    played = sum(line["batch_steps"] / line["sample_reuse"] for line in updates if line["batch_steps"])
    assert trained >= 0.75 * played  # the rest are first steps of long games
    assert summary["return_mean"] >= 0.0
