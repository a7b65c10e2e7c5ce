"""What each macro action wants to be built, in which order."""

from __future__ import annotations

from broodmind.actors.games.tinyzerg import Macro
from broodmind.actors.starcraft2.build_order import STRATEGIES, Holdings, build_queue

START = Holdings(12, 14, 12, 1, 0, 0, 0, 0, 0, 0, 0, frozenset())
GROWN = Holdings(40, 60, 38, 2, 2, 2, 1, 1, 0, 0, 0, frozenset())


def test_each_macro_action_gives_different_orders():
    wanted = {macro: tuple(build_queue(macro, GROWN)) for macro in Macro}
    assert len({(wanted[macro], STRATEGIES[macro].attack, STRATEGIES[macro].militia) for macro in Macro}) == len(Macro)
    assert "HATCHERY" in wanted[Macro.ECONOMY]
    assert "ROACHWARREN" in wanted[Macro.TECH]
    assert wanted[Macro.AGGRESSIVE][-1] == wanted[Macro.ALL_IN][-1] == "ZERGLING"
    assert wanted[Macro.ALL_IN] == ("ZERGLING",)
    assert "ZERGLING" not in wanted[Macro.ECONOMY] + wanted[Macro.TECH]
    assert {macro for macro in Macro if STRATEGIES[macro].attack} == {Macro.AGGRESSIVE, Macro.ALL_IN}


def test_overlords_are_built_before_supply_runs_out_and_not_above_the_maximum():
    assert build_queue(Macro.ECONOMY, START)[0] == "OVERLORD"
    assert "OVERLORD" not in build_queue(Macro.ECONOMY, START._replace(supply_cap=22))
    assert "OVERLORD" not in build_queue(Macro.ECONOMY, START._replace(supply_used=199, supply_cap=200))


def test_every_macro_action_builds_a_pool_before_what_requires_it():
    fed = START._replace(supply_cap=22)
    for macro in Macro:
        drones = next(n for n in range(12, 20) if "SPAWNINGPOOL" in build_queue(macro, fed._replace(drones=n)))
        assert drones <= 13
        early = build_queue(macro, fed._replace(pools=1))
        assert not {"QUEEN", "ZERGLING", "ROACH", "ROACHWARREN"} & set(early)
        assert "SPAWNINGPOOL" not in early


def test_the_tech_action_researches_one_upgrade_after_the_other():
    teched = GROWN._replace(warrens=1, warrens_ready=1, evolution_chambers=1)
    first = [name for name in build_queue(Macro.TECH, teched) if name.endswith(("SPEED", "LEVEL1"))]
    second = build_queue(Macro.TECH, teched._replace(upgrades=frozenset(first)))
    assert len(first) == 1
    assert first[0] not in second
