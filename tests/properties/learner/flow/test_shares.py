"""Max-min fair shares, for any needs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broodmind.learner.flow.shares import Contribution, next_level, water_level

NEEDS = st.lists(st.one_of(st.floats(0, 1e6), st.just(math.inf)), min_size=1, max_size=50)
TOTAL = st.floats(1, 1e6)


@given(NEEDS, TOTAL)
def test_all_that_is_wanted_is_shared_out_if_there_is_a_need_for_it(needs, total):
    shared = sum(min(need, water_level(needs, total)) for need in needs)
    assert shared == pytest.approx(min(total, sum(needs)), rel=1e-9, abs=1e-6)


@given(NEEDS, TOTAL)
def test_nobody_has_less_than_an_equal_share_unless_he_needs_less(needs, total):
    assert water_level(needs, total) >= total / len(needs) * (1 - 1e-9)


@given(NEEDS, TOTAL)
def test_who_needs_nothing_changes_nothing_for_the_others(needs, total):
    if sum(needs) >= total:  # else there is enough for all
        assert water_level([*needs, 0.0, 0.0], total) == pytest.approx(water_level(needs, total))


@given(NEEDS, st.floats(0, 1e6), TOTAL)
def test_a_larger_need_of_one_never_raises_the_level(needs, more, total):
    if sum(needs) >= total:
        assert water_level([needs[0] + more, *needs[1:]], total) <= water_level(needs, total) * (1 + 1e-9)


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=30), st.floats(1, 1e5))
def test_limited_actors_get_all_that_slow_ones_leave(slow_per_batch, level):
    slow = [Contribution(0.0, 0.0, each) for each in slow_per_batch]
    limited = Contribution(unconsumed=level, push=1.0, per_batch=1.0)
    total = 4 * sum(each.need(level) for each in slow)
    assert next_level([*slow, limited], total, level) == pytest.approx(3 / 4 * total)
    assert next_level([*slow, limited, limited], total, level) == pytest.approx(3 / 8 * total)


def test_an_actor_of_which_nothing_is_known_may_have_an_equal_share():
    new, slow = Contribution(0.0, 0.0, None), Contribution(0.0, 8.0, 8.0)
    assert next_level([new], 4096, 1) == 4096
    assert next_level([new] * 4, 4096, 1) == 1024
    assert next_level([new, slow], 4096, 4096) == 4096 - slow.need(4096)
    assert next_level([], 4096, 1) == 4096
