"""Translates a macro action to what is built next and whether the army attacks. Pure functions, no StarCraft II."""

from __future__ import annotations

from typing import NamedTuple

from ..games.tinyzerg import Macro

_SUPPLY_MAX = 200
_OVERLORD_SUPPLY = 8
_DRONES_A_BASE, _DRONES_AN_EXTRACTOR = 16, 3
_DRONES_MAX = 66
_DRONES_BEFORE_POOL = 13
_BASES_MAX = 5
_EXPAND_AT = 0.8  # fraction of the drones that the bases have room for
UPGRADES = ("ZERGLINGMOVEMENTSPEED", "ZERGMELEEWEAPONSLEVEL1", "ZERGMISSILEWEAPONSLEVEL1", "ZERGGROUNDARMORSLEVEL1")


class Strategy(NamedTuple):
    """The targets of a macro action."""

    drones: float  # fraction of the drones that bases and extractors have room for
    bases: int  # to build, in addition to those we have
    queens: int  # for each base
    extractors: int  # for each base
    tech: bool  # whether to build for roaches, speed and upgrades
    army: bool  # whether larvae that are not needed for drones become army units
    attack: bool  # whether the army attacks
    militia: bool  # whether drones attack too


STRATEGIES = {
    Macro.ECONOMY: Strategy(1.0, bases=1, queens=1, extractors=1, tech=False, army=False, attack=False, militia=False),
    Macro.AGGRESSIVE: Strategy(0.6, bases=0, queens=1, extractors=1, tech=False, army=True, attack=True, militia=False),
    Macro.DEFENSIVE: Strategy(0.7, bases=0, queens=2, extractors=1, tech=False, army=True, attack=False, militia=False),
    Macro.TECH: Strategy(0.9, bases=0, queens=1, extractors=2, tech=True, army=False, attack=False, militia=False),
    Macro.ALL_IN: Strategy(0.0, bases=0, queens=0, extractors=0, tech=False, army=True, attack=True, militia=True),
}


class Holdings(NamedTuple):
    """The units and structures we have, including those under construction, which are already paid."""

    supply_used: float
    supply_cap: float
    drones: int
    bases: int
    queens: int
    extractors: int
    pools: int
    pools_ready: int
    warrens: int
    warrens_ready: int
    evolution_chambers: int
    upgrades: frozenset[str]


def build_queue(macro: Macro, have: Holdings) -> list[str]:
    """The units, structures and upgrades to make, the most urgent first, by their names in burnysc2.

    The caller makes them in order and stops at the first that it cannot pay. A unit is made as many times as there are
    larvae for it; a structure, a queen and an upgrade are made once.
    """
    strategy = STRATEGIES[macro]
    queue: list[str] = []
    margin = 2 + have.supply_used / 10  # with more bases, more larvae hatch at a time
    if have.supply_cap < min(have.supply_used + margin, _SUPPLY_MAX):
        queue.append("OVERLORD")
    room = _DRONES_A_BASE * have.bases + _DRONES_AN_EXTRACTOR * have.extractors
    if not have.pools and have.drones >= min(_DRONES_BEFORE_POOL, strategy.drones * room):
        queue.append("SPAWNINGPOOL")
    if have.pools_ready and have.queens < strategy.queens * have.bases:
        queue.append("QUEEN")
    if have.pools and have.extractors < strategy.extractors * have.bases:
        queue.append("EXTRACTOR")
    if strategy.tech and have.pools_ready:
        queue += _tech(have)
    if strategy.bases and have.drones >= _EXPAND_AT * room and have.bases < _BASES_MAX:
        queue.append("HATCHERY")
    if have.drones < min(strategy.drones * room, _DRONES_MAX):
        queue.append("DRONE")
    if strategy.army and have.warrens_ready:
        queue.append("ROACH")
    if strategy.army and have.pools_ready:
        queue.append("ZERGLING")
    return queue


def _tech(have: Holdings) -> list[str]:
    queue = []
    if not have.warrens:
        queue.append("ROACHWARREN")
    if not have.evolution_chambers:
        queue.append("EVOLUTIONCHAMBER")
    return queue + [name for name in UPGRADES if name not in have.upgrades][:1]
