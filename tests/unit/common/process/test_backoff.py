"""Backoff: each wait about twice the one before, up to the longest, and no two waiters in step."""

from __future__ import annotations

import pytest

from broodmind.common.process.backoff import Backoff


def test_waits_double_give_or_take_a_quarter_up_to_the_longest():
    backoff = Backoff(0.1, 1.0)
    waits = [backoff.next_s() for _ in range(8)]
    for wait_s, plain_s in zip(waits, [0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1], strict=True):
        assert 0.75 * plain_s <= wait_s <= min(1.25 * plain_s, 1.0)


def test_after_a_success_it_begins_again():
    backoff = Backoff(0.1, 100.0)
    for _ in range(6):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 0.125


def test_two_processes_wait_for_different_times():
    assert len({Backoff(0.1, 5.0).next_s() for _ in range(20)}) > 1


@pytest.mark.parametrize("failures", [100, 10_000])
def test_any_number_of_failures_waits_no_longer_than_the_longest(failures):
    assert 22.5 <= Backoff(0.5, 30.0).after_s(failures) <= 30.0


def test_a_wait_may_be_zero():
    assert Backoff(0.0, 0.0).next_s() == 0.0
