"""How much of the time may go into entries that are of no use."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock

from broodmind.learner.ingest.useless_entries import (
    AT_ONCE_S,
    BYTES_PER_S,
    ENTRY_S,
    PROBATION,
    SHARE,
    STARVED_S,
    UselessEntries,
)

LARGE = 50 << 20


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def useless(clock):
    return UselessEntries(clock)


def test_as_long_as_all_entries_are_useful_all_may_be_read(clock, useless):
    for _ in range(1000):
        useless.arrived("a", None, LARGE)
    assert not useless.exhausted(starving=False)
    assert not useless.expected_of("a", large=True)


@pytest.mark.parametrize("reason", ["stale", "too_old", "duplicate"])
def test_what_an_honest_actor_may_send_for_long_takes_no_time_from_it(useless, reason):
    for _ in range(1000):
        useless.arrived("a", reason, LARGE)
    assert not useless.exhausted(starving=False)


@pytest.mark.parametrize("reason", ["invalid", "wrong_epoch", "off_run"])
@pytest.mark.parametrize("size", [0, LARGE])
def test_useless_entries_are_read_for_their_share_of_the_time(clock, useless, size, reason):
    """Just inside the limit too: what is allowed at once is read at once."""
    at_once = int(AT_ONCE_S / (ENTRY_S + size / BYTES_PER_S))
    for _ in range(at_once):
        assert not useless.exhausted(starving=False)
        useless.arrived("evil", reason, size)
    useless.arrived("evil", reason, size)
    assert useless.exhausted(starving=False)
    read, clock.now_s = at_once + 1, 0.0
    while clock.now_s < 100:
        clock.now_s += 0.01
        if not useless.exhausted(starving=False):
            useless.arrived("evil", reason, size)
            read += 1
    assert read * (ENTRY_S + size / BYTES_PER_S) < AT_ONCE_S + SHARE * 100 + LARGE / BYTES_PER_S


def test_they_are_expected_of_an_actor_until_it_has_sent_enough_useful_ones(useless):
    useless.arrived("evil", "invalid", LARGE)
    assert useless.expected_of("evil", large=False)
    for _ in range(PROBATION - 1):
        useless.arrived("evil", None, 10)
    assert useless.expected_of("evil", large=False)
    useless.arrived("evil", None, 10)
    assert not useless.expected_of("evil", large=False)
    assert not useless.expected_of("other", large=False)


def test_large_ones_are_expected_of_an_actor_that_has_sent_nothing_useful_yet(useless):
    assert useless.expected_of("new", large=True)
    useless.arrived("new", None, 10)
    assert not useless.expected_of("new", large=True)


def test_where_nothing_useful_comes_there_is_time_for_all_of_them(clock, useless):
    """The server may be full of them, so that nobody else can add anything."""
    for _ in range(10):
        useless.arrived("evil", "invalid", LARGE)
    clock.now_s = 0.9 * STARVED_S
    assert useless.exhausted(starving=True)
    clock.now_s = 1.1 * STARVED_S
    assert not useless.exhausted(starving=True)
    assert useless.exhausted(starving=False)
    useless.arrived("good", None, 10)
    assert useless.exhausted(starving=True)


def test_of_thousands_of_actors_not_all_are_remembered(useless):
    for number in range(20_000):
        useless.arrived(f"evil-{number}", "invalid", 0)
    assert sum(useless.expected_of(f"evil-{number}", large=False) for number in range(20_000)) <= 8193
