"""What is shown of a run: its figures, how near its goal is, and when it may be there."""

from __future__ import annotations

import pytest

from broodmind.deploy.observe.progress_figures import LocalRun, all_values, clock, ends_in, goals, rejected, warnings
from broodmind.deploy.observe.run_view import ActorView, RunView
from broodmind.learner.config import Goal


def a_view(head=None, **stats):
    return RunView(head or {}, {"run": "zerg", **stats}, "1-aa", [ActorView("a", 5, 2, 3, {"state": "playing"})])


def a_run(**goal):
    return LocalRun("zerg", "TinyZerg", Goal(**goal))


@pytest.mark.parametrize(
    ("goal", "stats", "seconds", "share", "left_s"),
    [
        ({"max_steps": 1000}, {"steps": "250", "steps_per_second": "50"}, 9.0, 0.25, 15.0),
        ({"max_steps": 1000}, {"steps": "2000", "steps_per_second": "50"}, 9.0, 1.0, 0.0),
        ({"max_steps": 1000}, {"steps": "250", "steps_per_second": "0"}, 9.0, 0.25, None),
        ({"max_steps": 1000}, {}, 9.0, 0.0, None),
        ({"max_seconds": 60.0}, {}, 15.0, 0.25, 45.0),
        ({"until_return": 475.0}, {}, 15.0, 0.0, None),
    ],
)
def test_how_near_a_goal_is_and_how_long_it_takes(goal, stats, seconds, share, left_s):
    (found,) = goals(a_run(**goal), a_view(**stats), seconds)
    assert (found.share, found.left_s) == (share, left_s)


def test_progress_to_a_return_is_counted_from_the_first_one_that_was_seen():
    run = a_run(until_return=0.0)
    shares = [goals(run, a_view(return_mean=mean), 1.0)[0].share for mean in ("-200", "-100", "-250", "5")]
    assert shares == [0.0, 0.5, 0.0, 1.0]


def test_a_run_ends_by_the_goal_that_is_reached_first():
    run = a_run(max_steps=1000, max_seconds=10.0, until_return=5.0)
    assert len(goals(run, a_view(), 0.0)) == 3
    assert ends_in(run, a_view(steps="900", steps_per_second="100"), 2.0) == "1.0 s"
    assert ends_in(run, a_view(steps="100", steps_per_second="100"), 2.0) == "8.0 s"
    assert ends_in(a_run(), a_view(), 2.0) == "-"


def test_rejected_entries_are_shown_with_their_reasons():
    assert rejected({}) == "0"
    assert rejected({"stale": "3", "invalid": "1200"}) == "1,203 (stale 3, invalid 1,200)"


def test_collapses_of_the_return_are_shown_where_there_were_any():
    assert all_values(a_run(), a_view(collapses="2", restorations="1"), 1.0).items() >= {
        "collapses": "2", "restorations": "1",
    }.items()  # fmt: skip
    assert "collapses" not in all_values(a_run(), a_view(collapses="0", restorations="0"), 1.0)


def test_all_that_the_run_has_told_is_shown_and_no_more():
    values = all_values(a_run(), a_view(steps="1200", metric_supply="17.25"), 61.0)
    assert values.items() >= {"steps": "1,200", "supply": "17.2", "lag": "2", "actors": "1", "time": "1:01"}.items()
    assert "return" not in values


def test_an_own_metric_with_the_name_of_a_figure_stands_beside_it():
    values = all_values(a_run(), a_view(steps="1200", metric_steps="6", metric_lag="7"), 1.0)
    assert (values["steps"], values["own steps"], values["lag"], values["own lag"]) == ("1,200", "6", "2", "7")


def test_warnings_of_the_learner_are_shown():
    assert warnings(a_view(warning_rejected="too stale", warning_other="", stale="1")) == ["too stale"]


def test_times_are_a_few_characters():
    assert [clock(seconds) for seconds in (0, 9.46, 59.9, 727, 10800, 3e9)] == [
        *("0.0 s", "9.5 s", "59.9 s", "12:07", "3:00:00"),
        "277777:46:40",
    ]
