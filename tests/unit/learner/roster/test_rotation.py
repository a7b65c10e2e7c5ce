"""Which streams are looked at in a turn."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock

from broodmind.learner.roster.rotation import ACTIVE_MAX, ACTIVE_S, FEW, PER_SECOND, ROUND_S, Rotation


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def rotation(clock):
    return Rotation(clock)


def test_few_are_all_looked_at_in_each_turn(rotation):
    names = [f"a{number}" for number in range(FEW)]
    for name in names:
        rotation.add(name, active=False)
    assert set(rotation.next()) == set(rotation.next()) == set(names)


def test_of_many_that_are_dormant_each_is_looked_at_within_a_round(rotation, clock):
    names = [f"a{number}" for number in range(10 * FEW)]
    for name in names:
        rotation.add(name, active=False)
    seen = []
    for _ in range(21):
        clock.now_s += ROUND_S / 20
        seen += rotation.next()
    assert set(seen) == set(names)
    assert len(seen) <= 1.1 * len(names)


def test_a_flood_of_names_costs_no_more_looks_than_a_bound(rotation, clock):
    for number in range(6000):
        rotation.add(f"a{number}", active=False)
    rotation.add("busy", active=True)
    looks = 0
    for _ in range(1000):
        clock.now_s += 0.001
        names = rotation.next()
        assert names[0] == "busy"
        rotation.delivered("busy")
        looks += len(names) - 1
    assert looks == pytest.approx(PER_SECOND, rel=0.01)


def test_who_delivers_is_looked_at_each_time_until_it_has_long_been_silent(rotation, clock):
    for number in range(2 * FEW):
        rotation.add(f"a{number}", active=False)
    rotation.delivered("a1")
    clock.now_s += ACTIVE_S
    assert "a1" in rotation.next()
    clock.now_s += ROUND_S + 1e-3
    for _ in range(20):  # at last it has its turn, with the others
        rotation.next()
    assert "a1" not in rotation.next()


def test_where_many_deliver_they_take_turns(rotation):
    names = {f"a{number}" for number in range(ACTIVE_MAX + 10)}
    for name in names:
        rotation.add(name, active=True)
    first, second = rotation.next(), rotation.next()
    assert len(first) == len(second) == ACTIVE_MAX
    assert {*first, *second} == names


def test_who_was_removed_is_not_looked_at(rotation):
    rotation.add("a", active=True)
    rotation.add("b", active=False)
    rotation.discard("a")
    rotation.discard("b")
    rotation.discard("c")
    assert rotation.next() == []
