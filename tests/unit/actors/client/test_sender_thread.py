"""What the courier decides by."""

from __future__ import annotations

import pytest
from support.clients import SPEC

from broodmind.actors.client.sender_thread import high_water


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0, 64), (1000, 64), (1 << 19, 64), (1 << 20, 32), (4 << 20, 8), (64 << 20, 8)],
)
def test_large_games_are_held_back_earlier_but_not_below_the_run_s_own_mark(largest, expected):
    assert SPEC.rollout.high_water == 8
    assert high_water(SPEC, largest) == expected
