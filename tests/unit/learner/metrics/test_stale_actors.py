"""The warning that nothing of an actor is trained on, because all that it sends is stale."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock

from broodmind.learner.metrics.stale_actors import FOR_S, IN_A_ROW, StaleActors

STALE = [("slow", True)]
FAST = [("fast", False)] * 50


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Each look at it, and so each commit, is a while later."""
    found = FakeClock(look_s=FOR_S)
    monkeypatch.setattr("broodmind.learner.metrics.stale_actors.monotonic_s", found)
    return found


def after(*commits, actors=("slow", "fast")):
    found = StaleActors()
    for entries in commits:
        found.add(entries, actors, 6)
    return found.warning


def test_an_actor_is_named_whose_entries_are_all_stale_however_few_of_all_they_are():
    assert after(*[[*FAST, *STALE]] * (IN_A_ROW - 1)) == ""
    assert after(*[[*FAST, *STALE]] * IN_A_ROW) == (
        "nothing of actor slow is trained on: while it plays, more versions pass than --max-staleness (now 6): "
        'raise it, or play with connect(..., update_policy="step")'
    )


@pytest.mark.parametrize("last", [[("slow", False)], [("slow", True), ("slow", False)]])
def test_an_entry_that_is_trained_on_ends_it(last):
    assert after(*[STALE] * IN_A_ROW, last) == ""
    assert after(*[STALE] * IN_A_ROW, last, *[STALE] * (IN_A_ROW - 1)) == ""


def test_an_actor_that_is_not_read_any_more_is_forgotten():
    found = StaleActors()
    for _ in range(IN_A_ROW):
        found.add(STALE, ["slow"], 6)
    assert found.warning
    found.add([], ["fast"], 6)
    assert not found.warning


def test_a_few_are_named_and_the_others_counted():
    names = [f"a{number}" for number in range(5)]
    warning = after(*[[(name, True) for name in names]] * IN_A_ROW, actors=names)
    assert warning.startswith("nothing of actor a0, a1, a2 and of 2 more is trained on")


def test_it_is_logged_once_each_time_that_it_begins(caplog):
    after(*[STALE] * (IN_A_ROW + 3), [("slow", False)], *[STALE] * IN_A_ROW)
    assert len(caplog.records) == 2


def test_many_at_once_are_no_reason_yet():
    """As after a crash, when actors send again what they have."""
    assert after(STALE * 1000) == ""
    assert after(STALE * 1000, STALE) != ""
