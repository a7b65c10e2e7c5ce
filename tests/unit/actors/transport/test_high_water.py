"""How many entries may stand in an actor's stream."""

from __future__ import annotations

import pytest

from broodmind.actors.transport.high_water import HighWater, actor_high_water, client_high_water
from broodmind.common.spec import RolloutSpec


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0, 64), (1000, 64), (1 << 19, 64), (1 << 20, 32), (4 << 20, 8), (64 << 20, 8)],
)
def test_large_games_are_held_back_earlier_but_not_below_the_run_s_own_mark(largest, expected):
    assert client_high_water(RolloutSpec("games", 100, high_water=8), largest) == HighWater(expected, expected)


def test_an_actor_s_mark_is_the_run_s():
    assert actor_high_water(RolloutSpec(high_water=5)) == HighWater(pause_at=5, report_as=5)


def test_in_lock_step_an_actor_with_one_entry_is_full_and_need_not_wait_for_room():
    assert actor_high_water(RolloutSpec(high_water=2, lock_step=True)) == HighWater(pause_at=2, report_as=1)
