"""Figures of clients' games, as the statistics of a run have them, for people and for scripts."""

from __future__ import annotations

import json

import pytest

from broodmind.deploy.observe.game_figures import best_evaluation, by_label, evaluation, lines, summary

LAST = {"version": 9, "epoch": 1, "steps": 900, "mean": 0.5, "std": 0.1, "episodes": 20, "wins": 15}
BEST = {**LAST, "version": 7, "mean": 0.8, "episodes": 12, "wins": None, "chosen_by": {"mean": 0.9}}
LABELS = {"map": {"Ladder": {"games": 12, "return_mean": 0.25, "win_rate": 0.5}}}


def test_they_are_shown_in_a_line_each():
    stats = {
        name: json.dumps(value) for name, value in [("labels", LABELS), ("evaluation", LAST), ("evaluation_best", BEST)]
    }
    assert lines(summary(stats)) == [
        "greedy games of the last version, 9: mean return 0.5 over 20   wins 15 of 20",
        "greedy games of the best version, 7: mean return 0.8 over 12",
        "by map   Ladder: return 0.25, wins 0.5 (12 games)",
    ]
    assert (by_label(stats), evaluation(stats), best_evaluation(stats)) == (LABELS, LAST, BEST)


def test_of_many_values_those_with_the_most_games_are_shown():
    many = {str(n): {"games": n, "return_mean": 0.0, "win_rate": None} for n in range(1, 18)}
    (line,) = lines(summary({"labels": json.dumps({"map": many})}))
    assert line.startswith("by map   17: return 0 (17 games)   16: ")
    assert line.endswith("   and 11 more")


@pytest.mark.parametrize("stats", [{}, {"labels": "{", "evaluation": "7", "evaluation_best": "null"}])
def test_a_run_without_any_shows_none(stats):
    assert lines(summary(stats)) == []
    assert (by_label(stats), evaluation(stats), best_evaluation(stats)) == ({}, None, None)
