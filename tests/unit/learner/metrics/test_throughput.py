from __future__ import annotations

import pytest

from broodmind.learner.metrics import throughput
from broodmind.learner.metrics.throughput import Throughput


@pytest.fixture
def rate_after(monkeypatch):
    """The rate after totals that were added at certain seconds."""

    def rate(*added):
        counted = Throughput()
        for now, total in added:
            monkeypatch.setattr(throughput, "monotonic_s", lambda now=now: now)
            counted.add(total)
        return counted.per_second()

    return rate


def test_there_is_no_rate_before_there_are_two_totals(rate_after):
    assert rate_after() == 0
    assert rate_after((5.0, 1000)) == 0


def test_the_rate_is_what_was_added_over_the_time_it_took(rate_after):
    assert rate_after((10.0, 1000), (11.0, 1300), (12.0, 1500)) == pytest.approx(250)


def test_totals_older_than_the_window_are_not_used(rate_after):
    assert rate_after((0.0, 0), (10.0, 10_000), (11.0, 10_100), (12.0, 10_200)) == pytest.approx(100)


def test_two_totals_are_kept_however_far_apart_they_are(rate_after):
    assert rate_after((0.0, 0), (100.0, 700)) == pytest.approx(7)


def test_two_totals_at_the_same_time_do_not_cause_a_division_by_zero(rate_after):
    assert rate_after((1.0, 5), (1.0, 5)) == 0
