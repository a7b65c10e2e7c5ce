"""The units and upgrades of the stand-in's game: what they cost and how they are made."""

from __future__ import annotations

from dataclasses import dataclass

from s2clientprotocol import sc2api_pb2 as api
from sc2.data import Attribute, Race, Target
from sc2.dicts.unit_research_abilities import RESEARCH_INFO
from sc2.dicts.unit_train_build_abilities import TRAIN_INFO
from sc2.ids.ability_id import AbilityId
from sc2.ids.unit_typeid import UnitTypeId
from sc2.ids.upgrade_id import UpgradeId


@dataclass(frozen=True)
class Kind:
    """A kind of unit. `seconds` is the time to make one, `count` the number made from one larva."""

    name: str
    maker: str = ""
    minerals: int = 0  # the cost of an order, without the drone that becomes a building
    vespene: int = 0
    seconds: float = 0.0
    supply: float = 0.0
    provides: int = 0
    health: int = 0
    strength: float = 0.0
    count: int = 1
    needs: str = ""
    structure: bool = False

    @property
    def id(self) -> int:
        return UnitTypeId[self.name].value

    @property
    def ability(self) -> int:
        return TRAIN_INFO[UnitTypeId[self.maker]][UnitTypeId[self.name]]["ability"].value if self.maker else 0


# Times are a third of the real game's, so that every kind can be made in a game of a few minutes.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("LARVA", health=25),
        Kind("EGG", health=200),
        Kind("DRONE", "LARVA", 50, 0, 4, 1, health=40, strength=0.2),
        Kind("OVERLORD", "LARVA", 100, 0, 6, provides=8, health=200),
        Kind("ZERGLING", "LARVA", 50, 0, 6, 0.5, health=35, strength=1, count=2, needs="SPAWNINGPOOL"),
        Kind("ROACH", "LARVA", 75, 25, 7, 2, health=145, strength=3, needs="ROACHWARREN"),
        Kind("QUEEN", "HATCHERY", 150, 0, 12, 2, health=175, strength=2.5, needs="SPAWNINGPOOL"),
        Kind("HATCHERY", "DRONE", 275, 0, 24, provides=6, health=1500, structure=True),
        Kind("EXTRACTOR", "DRONE", 25, 0, 7, health=500, structure=True),
        Kind("SPAWNINGPOOL", "DRONE", 200, 0, 15, health=1000, structure=True),
        Kind("ROACHWARREN", "DRONE", 150, 0, 13, health=850, needs="SPAWNINGPOOL", structure=True),
        Kind("EVOLUTIONCHAMBER", "DRONE", 75, 0, 8, health=750, structure=True),
        Kind("MINERALFIELD", health=1),
        Kind("VESPENEGEYSER", health=1),
    )
}
BY_ID = {kind.id: kind for kind in KINDS.values()}
BY_ABILITY = {kind.ability: kind for kind in KINDS.values() if kind.ability}
# For each upgrade: the structure that researches it, the cost in minerals and in vespene, the seconds.
UPGRADES = {
    RESEARCH_INFO[UnitTypeId[where]][UpgradeId[name]]["ability"].value: (UpgradeId[name].value, cost, seconds)
    for name, where, cost, seconds in (
        ("ZERGLINGMOVEMENTSPEED", "SPAWNINGPOOL", 100, 26),
        ("ZERGMELEEWEAPONSLEVEL1", "EVOLUTIONCHAMBER", 100, 38),
        ("ZERGMISSILEWEAPONSLEVEL1", "EVOLUTIONCHAMBER", 100, 38),
        ("ZERGGROUNDARMORSLEVEL1", "EVOLUTIONCHAMBER", 150, 38),
    )
}
ATTACK, GATHER, MOVE, INJECT = (
    ability.value
    for ability in (
        *(AbilityId.ATTACK, AbilityId.HARVEST_GATHER, AbilityId.MOVE),
        AbilityId.EFFECT_INJECTLARVA,
    )
)
LOOPS_A_SECOND = 22.4


def data() -> api.ResponseData:
    """The catalogue as a message of the protocol."""
    told = api.ResponseData()
    targets = dict.fromkeys((*BY_ABILITY, *UPGRADES), Target["None"])
    targets |= {kind.ability: Target.Point for kind in KINDS.values() if kind.maker == "DRONE"}
    targets[KINDS["EXTRACTOR"].ability] = Target.Unit
    targets |= {ATTACK: Target.PointOrUnit, MOVE: Target.PointOrUnit, GATHER: Target.Unit, INJECT: Target.Unit}
    for ability, target in targets.items():
        told.abilities.add(ability_id=ability, link_name=AbilityId(ability).name, available=True, target=target.value)
    for kind in KINDS.values():
        unit = told.units.add(unit_id=kind.id, name=kind.name, available=True, ability_id=kind.ability)
        unit.race = Race.Zerg.value
        # In the protocol, the cost of a building includes its drone, and a zergling costs half of an order.
        unit.mineral_cost = kind.minerals // kind.count + 50 * kind.structure
        unit.vespene_cost, unit.food_required, unit.food_provided = kind.vespene, kind.supply, kind.provides
        unit.build_time = kind.seconds * LOOPS_A_SECOND
        if kind.structure:
            unit.attributes.append(Attribute.Structure.value)
        if kind.strength:
            unit.weapons.add(type=1, damage=5 * kind.strength, attacks=1, range=1, speed=0.5)
    for ability, (upgrade, cost, seconds) in UPGRADES.items():
        told.upgrades.add(
            upgrade_id=upgrade, name=UpgradeId(upgrade).name, mineral_cost=cost, vespene_cost=cost,
            research_time=seconds * LOOPS_A_SECOND, ability_id=ability,
        )  # fmt: skip
    return told
