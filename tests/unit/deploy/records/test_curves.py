"""Curves of several runs: the moving mean, and means over seeds."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.deploy.records.curves import Curve, curve_of, groups_of, names_in, smoothed, value_of

LINES = [{"steps": 10 * n, "seconds": n, "return_mean": float(n), "win_rate": None} for n in range(5)]


def line(slope, end=100):
    return Curve(np.array([0.0, end]), np.array([0.0, slope * end]))


def test_a_curve_is_made_of_the_lines_that_have_both_numbers():
    lines = [*LINES, {"steps": 50}, {"steps": 60, "return_mean": None}, {"steps": 70, "return_mean": float("nan")}]
    curve = curve_of(lines, "steps", "return_mean")
    np.testing.assert_array_equal(curve.x, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(curve.y, [0, 1, 2, 3, 4])
    assert curve_of(LINES, "steps", "win_rate") is None
    assert curve_of(LINES[:1], "steps", "return_mean") is None


def test_own_metrics_and_what_is_inside_others_have_names_too():
    line = {"steps": 5, "loss": 0.5, "rejected": {"stale": 3}, "metrics": {"supply": 7.0, "loss": 9.0}}
    names = ("steps", "loss", "supply", "metrics.supply", "rejected.stale", "rejected.nosuch", "nosuch.stale", "nosuch")
    assert [value_of(line, name) for name in names] == [5, 0.5, 7.0, 7.0, 3, None, None, None]
    assert names_in(line) == ["steps", "loss", "supply"]
    curve = curve_of([{"steps": n, "metrics": {"supply": 2.0 * n}} for n in range(3)], "steps", "supply")
    np.testing.assert_array_equal(curve.y, [0, 2, 4])


def test_the_moving_mean_is_over_a_window_of_x():
    x, y = np.array([0.0, 1, 2, 10]), np.array([0.0, 3, 6, 1])
    np.testing.assert_allclose(smoothed(x, y, 2), [1.5, 3, 4.5, 1])
    np.testing.assert_array_equal(smoothed(x, y, 0), y)
    assert curve_of(LINES, "steps", "return_mean", 0.5).y == pytest.approx([0.5, 1, 2, 3, 3.5])


def test_runs_that_differ_in_their_seed_alone_are_one_group():
    runs = [
        ("a", {"game": "G", "rate": 1, "seed": 1}, line(1)),
        ("b", {"game": "G", "rate": 2, "seed": 1}, line(5)),
        ("c", {"game": "G", "rate": 1, "seed": 2}, line(3, end=50)),
    ]
    first, second = groups_of(runs)
    assert (first.label, second.label) == ("rate=1 (2 seeds)", "rate=2")
    x, mean, deviation = first.mean()
    assert (x[0], x[-1]) == (0, 50)  # as far as both go
    np.testing.assert_allclose(mean, 2 * x)
    np.testing.assert_allclose(deviation, np.sqrt(2) * x)  # of the samples x and 3x


def test_groups_are_named_by_the_game_or_the_run_where_no_setting_differs():
    seeds = [(name, {"game": "G", "seed": number}, line(1)) for number, name in enumerate("ab")]
    assert [group.label for group in groups_of(seeds)] == ["G (2 seeds)"]
    assert [group.label for group in groups_of(seeds[:1])] == ["a"]
    assert [group.label for group in groups_of([("x", {}, line(1)), ("y", {}, line(2))])] == ["x", "y"]
