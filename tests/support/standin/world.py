"""The stand-in's game: an economy, an enemy that grows and attacks in waves, and a result. All randomness is seeded."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from .catalogue import ATTACK, BY_ABILITY, INJECT, KINDS, LOOPS_A_SECOND, UPGRADES, Kind

SIZE = 64
HOME, ENEMY_HOME = (14.5, 14.5), (49.5, 49.5)
BASES = (HOME, (14.5, 47.5), (49.5, 16.5), ENEMY_HOME)
MINERALS_A_SECOND, VESPENE_A_SECOND = 2.0, 1.8  # a drone's; about twice the real game's
LARVA_SECONDS, INJECT_SECONDS, INJECTED = 4.0, 10.0, 3
SPEED, REACH = 6.0, 9.0  # of all units, per second; the distance within which armies fight
LETHALITY = 6.0  # health destroyed by one unit of strength in a second
GAME_SECONDS = 240.0  # then the stronger army wins

Point = tuple[float, float]


@dataclass
class Order:
    """A unit's current order."""

    ability: int
    seconds: float = 0.0  # until it is done; 0 for orders without an end
    done: float = 0.0
    target: Point | None = None


@dataclass
class Body:
    """A unit or structure of ours, or a resource."""

    tag: int
    kind: Kind
    at: Point
    health: float
    progress: float = 1.0
    order: Order | None = None
    becomes: Kind | None = None  # what hatches from an egg
    larva_in: float = LARVA_SECONDS
    energy: float = 25.0

    @property
    def fights(self) -> bool:
        return self.kind.strength > 0 and self.order is not None and self.order.ability == ATTACK


@dataclass
class Enemy:
    """All of the enemy's army at one place, and its base."""

    units: float
    growth: float  # units a second
    wave_s: float  # time of the next attack
    at: Point = ENEMY_HOME
    attacking: bool = False
    base_health: float = 1500.0


@dataclass
class World:
    """One game. Only `step` and `command` change it."""

    seed: int
    difficulty: int
    loop: int = 0
    minerals: float = 50.0
    vespene: float = 0.0
    upgrades: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)  # tags of all dead units
    result: int = 0  # as the protocol counts: 1 won, 2 lost, 3 tie

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.bodies: dict[int, Body] = {}
        self.enemy = Enemy(1.0, 0.05 * self.difficulty * self.chance.uniform(0.8, 1.2), self.chance.uniform(70, 100))
        for x, y in BASES:
            for row in range(8):
                self._add("MINERALFIELD", (x - 7, y - 4 + row))
            self._add("VESPENEGEYSER", (x, y + 7))
        self._add("HATCHERY", HOME)
        for name, count in (("DRONE", 12), ("OVERLORD", 1), ("LARVA", 3)):
            for _ in range(count):
                self._add(name, (HOME[0] + 3, HOME[1] - 3))

    @property
    def seconds(self) -> float:
        return self.loop / LOOPS_A_SECOND

    @property
    def supply_used(self) -> float:
        making = [each.becomes for each in self.bodies.values() if each.becomes]
        making += [BY_ABILITY[b.order.ability] for b in self.of("HATCHERY") if b.order]
        return sum(b.kind.supply for b in self.bodies.values()) + sum(kind.supply * kind.count for kind in making)

    @property
    def supply_cap(self) -> int:
        return min(200, sum(b.kind.provides for b in self.bodies.values() if b.progress >= 1))

    def of(self, name: str) -> list[Body]:
        return [body for body in self.bodies.values() if body.kind.name == name]

    def free(self, at: Point) -> bool:
        """Whether a structure may be placed there."""
        inside = all(2 <= c < SIZE - 2 for c in at) and math.dist(at, ENEMY_HOME) > 24
        return inside and all(math.dist(b.at, at) >= 3.5 for b in self.bodies.values() if b.kind.structure)

    def command(self, tag: int, ability: int, target: Point | None) -> bool:
        """Give an order. Returns False if it is refused."""
        body = self.bodies.get(tag)
        if body is None:
            return False
        if ability in UPGRADES:
            upgrade, cost, seconds = UPGRADES[ability]
            if body.order or upgrade in self.upgrades or not self._pay(cost, cost):
                return False
            body.order = Order(ability, seconds)
            return True
        if ability in BY_ABILITY:
            return self._make(body, BY_ABILITY[ability], target)
        if ability == INJECT:
            if body.energy < 25:
                return False
            body.energy -= 25
        body.order = Order(ability, INJECT_SECONDS if ability == INJECT else 0.0, target=target)
        return True

    def step(self, loops: int) -> None:
        """Advance the game by so many game loops."""
        if self.result:
            return
        self.loop += loops
        seconds = loops / LOOPS_A_SECOND
        self._mine(seconds)
        for body in list(self.bodies.values()):
            self._age(body, seconds)
        self._move_enemy(seconds)
        self._fight(seconds)
        if self.enemy.base_health <= 0:
            self.result = 1
        elif not any(body.kind.structure for body in self.bodies.values()):
            self.result = 2
        elif self.seconds > GAME_SECONDS:
            ours = sum(b.kind.strength for b in self.bodies.values() if b.kind.name != "DRONE")
            self.result = 3 if abs(ours - self.enemy.units) < 1 else 1 if ours > self.enemy.units else 2

    def _add(self, name: str, at: Point, progress: float = 1.0) -> Body:
        kind = KINDS[name]
        tag = len(self.bodies) + len(self.dead) + self.chance.getrandbits(40) * 4096
        self.bodies[tag] = Body(tag, kind, at, kind.health, progress)
        return self.bodies[tag]

    def _pay(self, minerals: int, vespene: int) -> bool:
        if self.minerals < minerals or self.vespene < vespene:
            return False
        self.minerals -= minerals
        self.vespene -= vespene
        return True

    def _make(self, body: Body, kind: Kind, target: Point | None) -> bool:
        ready = not kind.needs or any(each.progress >= 1 for each in self.of(kind.needs))
        fed = not kind.supply or self.supply_used + kind.supply * kind.count <= self.supply_cap
        placed = not kind.structure or (target is not None and (kind.name == "EXTRACTOR" or self.free(target)))
        busy = body.kind.name == "HATCHERY" and body.order is not None
        if body.kind.name != kind.maker or not (ready and fed and placed) or busy:
            return False
        if not self._pay(kind.minerals, kind.vespene):
            return False
        if kind.structure:
            del self.bodies[body.tag]
            self._add(kind.name, target or HOME, progress=0.01)
        elif body.kind.name == "LARVA":
            body.kind, body.becomes, body.order = KINDS["EGG"], kind, Order(kind.ability, kind.seconds)
        else:
            body.order = Order(kind.ability, kind.seconds)
        return True

    def _mine(self, seconds: float) -> None:
        at_work = [drone for drone in self.of("DRONE") if not drone.fights]
        at_gas = min(len(at_work), 3 * sum(each.progress >= 1 for each in self.of("EXTRACTOR")))
        at_minerals = min(len(at_work) - at_gas, 16 * sum(each.progress >= 1 for each in self.of("HATCHERY")))
        self.minerals += MINERALS_A_SECOND * at_minerals * seconds
        self.vespene += VESPENE_A_SECOND * at_gas * seconds

    def _age(self, body: Body, seconds: float) -> None:
        body.energy = min(200.0, body.energy + 1.5 * seconds)
        if body.progress < 1:
            body.progress = min(1.0, body.progress + seconds / body.kind.seconds)
            return
        if body.kind.name == "HATCHERY":
            body.larva_in -= seconds
            if body.larva_in <= 0:
                body.larva_in = LARVA_SECONDS
                if len(self.of("LARVA")) < 3 * len(self.of("HATCHERY")):
                    self._add("LARVA", (body.at[0] + 3, body.at[1] - 3))
        order = body.order
        if order is None:
            return
        if order.target is not None:
            body.at = _towards(body.at, order.target, SPEED * seconds)
        if not order.seconds:
            return
        order.done += seconds
        if order.done >= order.seconds:
            body.order = None
            self._finish(body, order)

    def _finish(self, body: Body, order: Order) -> None:
        if order.ability in UPGRADES:
            self.upgrades.append(UPGRADES[order.ability][0])
        elif order.ability == INJECT:
            for _ in range(INJECTED):
                self._add("LARVA", body.at)
        elif body.becomes:
            del self.bodies[body.tag]
            for _ in range(body.becomes.count):
                self._add(body.becomes.name, body.at)
        else:
            self._add(BY_ABILITY[order.ability].name, (body.at[0] + 3, body.at[1] - 3))

    def _move_enemy(self, seconds: float) -> None:
        enemy = self.enemy
        enemy.units += enemy.growth * seconds
        if self.seconds >= enemy.wave_s and enemy.units >= 2:
            enemy.attacking, enemy.wave_s = True, self.seconds + 60
        if enemy.attacking and enemy.units < 1:
            enemy.attacking = False
        enemy.at = _towards(enemy.at, self._attacked() if enemy.attacking else ENEMY_HOME, SPEED * seconds)

    def _attacked(self) -> Point:
        structures = [body.at for body in self.bodies.values() if body.kind.structure]
        return min(structures, key=lambda at: math.dist(at, self.enemy.at), default=HOME)

    def _fight(self, seconds: float) -> None:
        enemy = self.enemy
        near = [b for b in self.bodies.values() if b.kind.health > 1 and math.dist(b.at, enemy.at) < REACH]
        strength = sum(b.kind.strength for b in near) * (1 + 0.15 * len(self.upgrades))
        blow = enemy.units * LETHALITY * seconds
        enemy.units = max(0.0, enemy.units - strength * LETHALITY * seconds / 35)
        for body in sorted(near, key=lambda b: (-b.kind.strength, b.tag)):  # fighters first, structures last
            taken = min(blow, body.health)
            body.health -= taken
            blow -= taken
            if body.health <= 0:
                del self.bodies[body.tag]
                self.dead.append(body.tag)
        if enemy.units < 1:
            besiegers = [b for b in self.bodies.values() if b.fights and math.dist(b.at, ENEMY_HOME) < REACH]
            enemy.base_health -= sum(b.kind.strength for b in besiegers) * LETHALITY * seconds


def _towards(at: Point, target: Point, distance: float) -> Point:
    away = math.dist(at, target)
    if away <= distance:
        return target
    share = distance / away
    return at[0] + (target[0] - at[0]) * share, at[1] + (target[1] - at[1]) * share
