"""The StarCraft II bot's own numbers and choices; nothing here needs the game."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from support.standin.world import GAME_SECONDS, World

from broodmind.actors.games.registry import describe_game, make_game
from broodmind.actors.games.tinyzerg import Macro
from broodmind.actors.starcraft2.build_order import PLANS, Holdings, wishes
from broodmind.actors.starcraft2.features import Seen, map_control, observe
from broodmind.actors.starcraft2.match import parse_opponent
from broodmind.actors.starcraft2.rewards import Rewards, potential
from broodmind.common.actions import Discrete
from broodmind.common.errors import ConfigError

SEEN = Seen(500, 100, 30, 44, 20, 31, 4, 2, 300, 1, 1, 3, 0.5, 600, 150)
START = Holdings(12, 14, 12, 1, 0, 0, 0, 0, 0, 0, 0, frozenset())
GROWN = Holdings(40, 60, 38, 2, 2, 2, 1, 1, 0, 0, 0, frozenset())


def test_the_features_are_the_originals_in_its_order_and_scales():
    """As the original's experience files have them: minerals / 2000, vespene / 1000, and so on."""
    scales = [2000, 1000, 200, 200, 100, 100, 100, 10, 1000, 5, 10, 20, 1, 5000, 5000]
    expected = [value / scale for value, scale in zip(SEEN, scales, strict=True)]
    seen = observe(SEEN)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_a_feature_beyond_its_scale_is_kept_until_its_double():
    assert observe(SEEN._replace(vespene=1824))[1] == pytest.approx(1.824)
    assert observe(SEEN._replace(minerals=10_000))[0] == 2.0
    assert observe(SEEN._replace(vespene=-5))[1] == 0.0


def test_map_control_is_our_share_of_the_bases_known():
    assert map_control(2, 0) == 0.5
    assert map_control(3, 1) == 0.75
    assert map_control(0, 2) == 0.0


@pytest.mark.parametrize(("outcome", "result"), [("win", 1.0), ("loss", -1.0), ("tie", 0.0)])
def test_a_games_return_is_its_result_less_the_potential_it_began_with(outcome, result):
    course = [SEEN, SEEN._replace(own_army_hp=5000), SEEN._replace(own_army_hp=0, supply_used=10)]
    rewards = Rewards()
    earned = [rewards.since_last(seen) for seen in course] + [rewards.at_end(outcome)]
    assert earned[0] == 0.0  # nothing was done yet
    assert sum(earned) == pytest.approx(result - potential(course[0]))


def test_a_reward_is_that_of_the_decision_before_it():
    """The original stored what was earned before an action with that action."""
    rewards = Rewards()
    rewards.since_last(SEEN)
    better = SEEN._replace(supply_used=130)
    assert rewards.since_last(better) == pytest.approx(potential(better) - potential(SEEN))
    assert potential(better) > potential(SEEN)
    assert rewards.since_last(better) == 0.0


@pytest.mark.parametrize("lead", [-5000, 0, 5000])
def test_the_potential_is_small_beside_the_result(lead):
    seen = SEEN._replace(own_army_hp=max(lead, 0), enemy_army_hp=max(-lead, 0), supply_used=200)
    assert -0.2 <= potential(seen) <= 0.5


def test_each_macro_action_wants_something_else():
    wanted = {macro: tuple(wishes(macro, GROWN)) for macro in Macro}
    assert len({(wanted[macro], PLANS[macro].attack, PLANS[macro].militia) for macro in Macro}) == len(Macro)
    assert "HATCHERY" in wanted[Macro.ECONOMY]
    assert "ROACHWARREN" in wanted[Macro.TECH]
    assert wanted[Macro.AGGRESSIVE][-1] == wanted[Macro.ALL_IN][-1] == "ZERGLING"
    assert wanted[Macro.ALL_IN] == ("ZERGLING",)
    assert "ZERGLING" not in wanted[Macro.ECONOMY] + wanted[Macro.TECH]
    assert {macro for macro in Macro if PLANS[macro].attack} == {Macro.AGGRESSIVE, Macro.ALL_IN}


def test_overlords_come_before_supply_runs_out_and_end_at_the_most_there_can_be():
    assert wishes(Macro.ECONOMY, START)[0] == "OVERLORD"
    assert "OVERLORD" not in wishes(Macro.ECONOMY, START._replace(supply_cap=22))
    assert "OVERLORD" not in wishes(Macro.ECONOMY, START._replace(supply_used=199, supply_cap=200))


def test_every_macro_action_gets_a_pool_and_nothing_that_needs_it_before():
    fed = START._replace(supply_cap=22)
    for macro in Macro:
        drones = next(n for n in range(12, 20) if "SPAWNINGPOOL" in wishes(macro, fed._replace(drones=n)))
        assert drones <= 13
        early = wishes(macro, fed._replace(pools=1))
        assert not {"QUEEN", "ZERGLING", "ROACH", "ROACHWARREN"} & set(early)
        assert "SPAWNINGPOOL" not in early


def test_techs_upgrades_come_one_after_the_other():
    teched = GROWN._replace(warrens=1, warrens_ready=1, evolution_chambers=1)
    first = [name for name in wishes(Macro.TECH, teched) if name.endswith(("SPEED", "LEVEL1"))]
    second = wishes(Macro.TECH, teched._replace(upgrades=frozenset(first)))
    assert len(first) == 1
    assert first[0] not in second


def test_an_opponent_is_a_race_and_a_difficulty_in_any_case():
    computer = parse_opponent("Terran:VeryHard")
    assert (computer.race.name, computer.difficulty.name) == ("Terran", "VeryHard")


@pytest.mark.parametrize("text", ["", "terran", "terran:", "orc:easy", "terran:trivial", "norace:easy"])
def test_another_opponent_is_refused_with_those_there_are(text):
    with pytest.raises(ConfigError, match=r"opponent: .*, expected terran\|zerg\|protoss\|random:veryeasy\|easy"):
        parse_opponent(text)


def test_the_learner_can_describe_the_game_without_it():
    """In an interpreter of its own, where burnysc2 cannot be imported."""
    code = """
import sys
sys.modules["sc2"] = None
from broodmind.actors.games.registry import describe_game
spec = describe_game("starcraft2")
print(spec.name, spec.observation_shape, spec.wins)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "StarCraft2Zerg (15,) True"
    assert describe_game("starcraft2").actions == Discrete(5)


def test_it_is_no_game_that_can_be_stepped():
    with pytest.raises(ConfigError, match=r"game: 'starcraft2', expected one that can be stepped; this one owns"):
        make_game("starcraft2", 4)


def test_the_stand_in_plays_the_same_game_for_the_same_seed():
    def course(seed):
        world = World(seed, difficulty=5)
        while not world.result:
            world.step(8)
        return world.result, world.loop, tuple(world.bodies)

    assert course(1) == course(1)
    assert course(1) != course(2)
    assert World(1, 5).seconds == 0 < course(1)[1] / 22.4 <= GAME_SECONDS + 1
