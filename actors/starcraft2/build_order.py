"""What a macro action means: what to make next, and where the army goes. Pure, and without StarCraft II."""

from __future__ import annotations

from typing import NamedTuple

from ..games.tinyzerg import Macro

_SUPPLY_MAX = 200
_OVERLORD_SUPPLY = 8
_DRONES_A_BASE, _DRONES_AN_EXTRACTOR = 16, 3
_DRONES_MAX = 66
_DRONES_BEFORE_POOL = 13
_BASES_MAX = 5
_EXPAND_AT = 0.8  # of the drones a base has room for
UPGRADES = ("ZERGLINGMOVEMENTSPEED", "ZERGMELEEWEAPONSLEVEL1", "ZERGMISSILEWEAPONSLEVEL1", "ZERGGROUNDARMORSLEVEL1")


class Plan(NamedTuple):
    """A macro action, as numbers."""

    drones: float  # of the drones that bases and extractors have room for
    bases: int  # beyond those we have
    queens: int  # a base
    extractors: int  # a base
    tech: bool  # roaches, speed, upgrades
    army: bool  # larvae beyond the drones become army
    attack: bool
    militia: bool  # drones attack along


PLANS = {
    Macro.ECONOMY: Plan(1.0, bases=1, queens=1, extractors=1, tech=False, army=False, attack=False, militia=False),
    Macro.AGGRESSIVE: Plan(0.6, bases=0, queens=1, extractors=1, tech=False, army=True, attack=True, militia=False),
    Macro.DEFENSIVE: Plan(0.7, bases=0, queens=2, extractors=1, tech=False, army=True, attack=False, militia=False),
    Macro.TECH: Plan(0.9, bases=0, queens=1, extractors=2, tech=True, army=False, attack=False, militia=False),
    Macro.ALL_IN: Plan(0.0, bases=0, queens=0, extractors=0, tech=False, army=True, attack=True, militia=True),
}


class Holdings(NamedTuple):
    """What we have; what is under way counts, for it is paid."""

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


def wishes(macro: Macro, have: Holdings) -> list[str]:
    """What to make, the most urgent first, in burnysc2's names. Who carries it out stops at the first it cannot pay.

    A unit stands for as many of it as there are larvae for; a building, a queen and an upgrade for one.
    """
    plan = PLANS[macro]
    wanted: list[str] = []
    margin = 2 + have.supply_used / 10  # larger waves of larvae come with more bases
    if have.supply_cap < min(have.supply_used + margin, _SUPPLY_MAX):
        wanted.append("OVERLORD")
    room = _DRONES_A_BASE * have.bases + _DRONES_AN_EXTRACTOR * have.extractors
    if not have.pools and have.drones >= min(_DRONES_BEFORE_POOL, plan.drones * room):
        wanted.append("SPAWNINGPOOL")
    if have.pools_ready and have.queens < plan.queens * have.bases:
        wanted.append("QUEEN")
    if have.pools and have.extractors < plan.extractors * have.bases:
        wanted.append("EXTRACTOR")
    if plan.tech and have.pools_ready:
        wanted += _tech(have)
    if plan.bases and have.drones >= _EXPAND_AT * room and have.bases < _BASES_MAX:
        wanted.append("HATCHERY")
    if have.drones < min(plan.drones * room, _DRONES_MAX):
        wanted.append("DRONE")
    if plan.army and have.warrens_ready:
        wanted.append("ROACH")
    if plan.army and have.pools_ready:
        wanted.append("ZERGLING")
    return wanted


def _tech(have: Holdings) -> list[str]:
    wanted = []
    if not have.warrens:
        wanted.append("ROACHWARREN")
    if not have.evolution_chambers:
        wanted.append("EVOLUTIONCHAMBER")
    return wanted + [name for name in UPGRADES if name not in have.upgrades][:1]
