from __future__ import annotations

import pytest

from broodmind.common.process import throughput
from broodmind.common.process.throughput import Throughput


@pytest.fixture
def rate_after(monkeypatch):
    """The rate after totals that were added at certain seconds."""

    def rate(*added, at=None):
        counted = Throughput()
        for now, total in added:
            monkeypatch.setattr(throughput, "monotonic_s", lambda now=now: now)
            counted.add(total)
        if at is not None:
            monkeypatch.setattr(throughput, "monotonic_s", lambda: at)
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


SECONDLY = [(float(second), 100 * second) for second in range(10)]  # 100 steps each second, until 9 s
SLOWLY = [(20.0 * update, 100 * update) for update in range(10)]  # 100 steps in 20 s, until 180 s


@pytest.mark.parametrize(
    ("added", "at", "rate"),
    [
        (SECONDLY, 9.9, 100),  # the next total is not due
        (SECONDLY, 11.0, 300 / 4),  # it is a second late
        (SECONDLY, 12.9, 300 / 5.9),
        (SECONDLY, 13.1, 0),
        (SECONDLY, 1000.0, 0),
        (SLOWLY, 199.0, 5),
        (SLOWLY, 220.0, 100 / 40),
        (SLOWLY, 241.0, 0),
    ],
)
def test_the_window_ends_now_and_the_rate_falls_to_nothing(rate_after, added, at, rate):
    assert rate_after(*added, at=at) == pytest.approx(rate)


def test_after_a_pause_the_rate_falls_as_soon_as_before(rate_after):
    """The pause is not taken for the usual time between two updates."""
    assert rate_after(*SECONDLY, (1000.0, 1000), at=1000.5) == pytest.approx(100 / 991)
    assert rate_after(*SECONDLY, (1000.0, 1000), at=1020.0) == 0


def test_updates_that_have_become_slow_are_soon_the_usual_ones(rate_after):
    slow = [(9.0 + 60 * update, 900 + 100 * update) for update in range(1, 8)]
    assert rate_after(*SECONDLY, *slow, at=slow[-1][0] + 55) == pytest.approx(100 / 60)
