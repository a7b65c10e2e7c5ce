"""A run whose play is all rejected ends; one that is only slow, or loses some, goes on."""

from __future__ import annotations

import pytest

from broodmind.common.errors import NothingTrained
from broodmind.deploy.observe.all_rejected import AllRejected
from broodmind.deploy.observe.run_view import RunView


def views(watch, *moments):
    """Show moments of (seconds, steps, counts of rejected entries)."""
    for seconds, steps, rejected in moments:
        head = {"steps": str(steps), **{name: str(count) for name, count in rejected.items()}}
        watch.check(RunView(head, {}, None, []), seconds)


def goes_on(watch, *moments):
    """Show moments; whether the run goes on after all of them."""
    try:
        views(watch, *moments)
    except NothingTrained:
        return False
    return True


def test_a_run_of_which_nothing_is_trained_on_ends_with_the_reasons():
    watch = AllRejected(entries=5, seconds=10)
    views(watch, (0, 0, {"invalid": 1}), (9, 0, {"invalid": 50, "stale": 2}))
    with pytest.raises(NothingTrained, match=r"^nothing is trained on: .* of 11 s was rejected \(stale 3, invalid"):
        views(watch, (11, 0, {"invalid": 50, "stale": 3}))


def test_a_resumed_run_is_judged_by_what_happens_now():
    watch = AllRejected(entries=5, seconds=10)
    views(watch, (0, 1000, {"invalid": 99}), (20, 1000, {"invalid": 99}), (30, 1001, {"invalid": 900}))
    with pytest.raises(NothingTrained, match="invalid 7"):
        views(watch, (45, 1001, {"invalid": 907}))


def test_few_rejections_or_any_training_is_no_reason():
    watch = AllRejected(entries=5, seconds=10)
    assert goes_on(watch, (0, 0, {}), (100, 0, {"stale": 4}))
    assert goes_on(watch, *((second, second, {"invalid": second * 10}) for second in range(101, 140, 9)))


def test_games_that_never_arrived_are_not_rejected():
    watch = AllRejected(entries=5, seconds=10)
    assert goes_on(watch, (0, 0, {}), (50, 0, {"overflow": 900, "lost": 900}))
    assert not goes_on(watch, (100, 0, {"overflow": 900, "invalid": 900}))
