"""Rewards: the result at the end, and the change of a potential before it."""

from __future__ import annotations

import pytest

from broodmind.actors.starcraft2.features import GameState
from broodmind.actors.starcraft2.rewards import Rewards, potential

STATE = GameState(500, 100, 30, 44, 20, 31, 4, 2, 300, 1, 1, 3, 0.5, 600, 150)


@pytest.mark.parametrize(("outcome", "result"), [("win", 1.0), ("loss", -1.0), ("tie", 0.0)])
def test_a_games_return_is_its_result_minus_its_initial_potential(outcome, result):
    course = [STATE, STATE._replace(own_army_hp=5000), STATE._replace(own_army_hp=0, supply_used=10)]
    rewards = Rewards()
    earned = [rewards.since_last(seen) for seen in course] + [rewards.at_end(outcome)]
    assert earned[0] == 0.0  # nothing was done yet
    assert sum(earned) == pytest.approx(result - potential(course[0]))


def test_a_reward_belongs_to_the_action_before_it():
    """The original stored what was earned before an action with that action."""
    rewards = Rewards()
    rewards.since_last(STATE)
    better = STATE._replace(supply_used=130)
    assert rewards.since_last(better) == pytest.approx(potential(better) - potential(STATE))
    assert potential(better) > potential(STATE)
    assert rewards.since_last(better) == 0.0


@pytest.mark.parametrize("lead", [-5000, 0, 5000])
def test_the_potential_is_small_compared_with_the_result(lead):
    seen = STATE._replace(own_army_hp=max(lead, 0), enemy_army_hp=max(-lead, 0), supply_used=200)
    assert -0.2 <= potential(seen) <= 0.5
