"""Figures by label: of which games they are, and that callers' texts cannot make them grow without limit."""

from __future__ import annotations

import pytest

from broodmind.common.labels import LABELS_MAX
from broodmind.common.wire import codec
from broodmind.learner.metrics.label_figures import OTHER, VALUES_MAX, LabelFigures


def play(figures, games):
    for labels, total, won in games:
        figures.add(figures.code(tuple(labels.items())), total, won)


def test_the_figures_are_of_the_games_with_that_value():
    figures = LabelFigures()
    play(
        figures,
        [
            ({"map": "a", "opponent": "x"}, 1.0, 1.0),
            ({"map": "a", "opponent": "y"}, 3.0, 0.0),
            ({"map": "b"}, 5.0, 1.0),
            ({}, 100.0, 1.0),
        ],
    )
    assert figures.metrics() == {
        "map": {
            "a": {"games": 2, "return_mean": 2.0, "win_rate": 0.5},
            "b": {"games": 1, "return_mean": 5.0, "win_rate": 1.0},
        },
        "opponent": {
            "x": {"games": 1, "return_mean": 1.0, "win_rate": 1.0},
            "y": {"games": 1, "return_mean": 3.0, "win_rate": 0.0},
        },
    }


def test_a_game_without_wins_has_no_win_rate():
    figures = LabelFigures()
    play(figures, [({"map": "a"}, 1.0, None)])
    assert figures.metrics()["map"]["a"]["win_rate"] is None


def test_old_games_fade():
    figures = LabelFigures()
    play(figures, [({"map": "a"}, 0.0, 0.0)] * 1000 + [({"map": "a"}, 1.0, 1.0)] * 300)
    found = figures.metrics()["map"]["a"]
    assert found["games"] == 1300
    assert found["return_mean"] == found["win_rate"] == pytest.approx(1 - 0.99**300, rel=1e-4)


def test_only_so_many_labels_and_values_are_kept_and_the_rest_is_other():
    figures = LabelFigures()
    play(figures, [({"number": str(number)}, float(number), 1.0) for number in range(1000)])
    play(figures, [({f"label-{number}": "x"}, 0.0, 1.0) for number in range(1000)])
    found = figures.metrics()
    assert len(found) == LABELS_MAX
    assert list(found["number"]) == [*map(str, range(VALUES_MAX)), OTHER]
    assert found["number"][OTHER]["games"] == 1000 - VALUES_MAX
    assert found["number"]["0"] == {"games": 1, "return_mean": 0.0, "win_rate": 1.0}
    play(figures, [({"number": "3"}, 3.0, 1.0)])
    assert figures.metrics()["number"]["3"]["games"] == 2
    assert len(codec.encode({"labels": figures.state()})) < 4000


def test_a_value_called_other_is_no_value_of_its_own():
    figures = LabelFigures()
    play(figures, [({"map": OTHER}, 1.0, 1.0)] + [({"map": str(number)}, 2.0, 1.0) for number in range(20)])
    found = figures.metrics()["map"]
    assert found[OTHER]["games"] == 1 + 20 - VALUES_MAX
    assert found["0"]["return_mean"] == 2.0


def test_a_code_that_waited_still_stands_for_its_labels():
    """Games wait for those that began before them, and meanwhile other labels are seen."""
    figures = LabelFigures()
    early = figures.code((("map", "a"), ("opponent", "x")))
    play(figures, [({"map": str(number), "more": "y"}, 9.0, 0.0) for number in range(30)])
    figures.add(early, 1.0, 1.0)
    assert figures.metrics()["map"]["a"] == {"games": 1, "return_mean": 1.0, "win_rate": 1.0}
    assert figures.metrics()["opponent"]["x"] == {"games": 1, "return_mean": 1.0, "win_rate": 1.0}


def test_a_restored_one_goes_on_as_if_nothing_had_been():
    figures = LabelFigures()
    play(figures, [({"map": str(number % 20), "opponent": "x"}, float(number), 1.0) for number in range(50)])
    stored = codec.decode(codec.encode({"labels": figures.state()}), max_bytes=1 << 20, max_list=1 << 10)["labels"]
    successor = LabelFigures()
    successor.restore(stored)
    for each in (figures, successor):
        play(each, [({"map": "17"}, 1.0, 0.0), ({"map": "2", "new": "z"}, 1.0, 0.0)])
    assert successor.metrics() == figures.metrics()
    assert successor.state() == figures.state()
