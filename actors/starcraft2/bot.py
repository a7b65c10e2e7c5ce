"""The bot: a Zerg player for burnysc2. The policy chooses macro actions, and the bot gives the orders for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from sc2.bot_ai import BotAI
from sc2.data import Result
from sc2.ids.ability_id import AbilityId
from sc2.ids.unit_typeid import UnitTypeId
from sc2.ids.upgrade_id import UpgradeId

from ...common.errors import GameAborted, GameCrashed
from ..games.tinyzerg import Macro
from .build_order import STRATEGIES, UPGRADES, Holdings, build_queue
from .features import GameState, map_control, observe
from .rewards import Rewards

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sc2.position import Point2
    from sc2.units import Units

    from ...common.process.shutdown import Stop
    from ..client.episode_record import Outcome
    from ..supervision.progress_pipe import ProgressPipe

PROCESS_ENDED = "StarCraft II has ended and burnysc2 did not notice; another program may use its port"
DECISION_ITERATIONS = 22  # of 4 game loops each: one action every 3.9 s of game time
_ORDER_ITERATIONS = 4  # orders are given more often than that, because larvae hatch and minerals come in
_LOOPS_A_SECOND = 22.4
_STEP_S = 0.5  # an upper limit of the game time between two iterations
_DEFENCE_RANGE = 25.0  # distance from our bases within which enemies are attacked
_MILITIA_LEFT = 4  # drones that continue to mine under ALL_IN
_INJECT_ENERGY = 25

_NO_ARMY = {UnitTypeId.DRONE, UnitTypeId.LARVA, UnitTypeId.EGG, UnitTypeId.OVERLORD, UnitTypeId.QUEEN}
_LARVA_UNITS = {UnitTypeId.OVERLORD, UnitTypeId.DRONE, UnitTypeId.ROACH, UnitTypeId.ZERGLING}
_RESULTS: dict[Result, Literal["win", "loss", "tie"]] = {
    Result.Victory: "win",
    Result.Defeat: "loss",
    Result.Tie: "tie",
}


class Episode(Protocol):
    """The methods of the client's Episode that the bot uses."""

    def act(self, observation: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> int:
        """Choose an action. Never blocks."""

    def reward(self, amount: float) -> None:
        """Add to the reward of the last action."""

    def end(self, outcome: Outcome, reward: float = 0.0, observation: NDArray[np.float32] | None = None) -> None:
        """End the episode with its outcome. Must be called once."""


class ZergBot(BotAI):
    """Plays one game.

    Args:
        game: the episode.
        progress: gets a heartbeat whenever the game's own clock has advanced.
        stop: when requested, the game is aborted at the next step.
        limit_s: the game time in seconds at which the game is truncated.
    """

    def __init__(self, game: Episode, progress: ProgressPipe, stop: Stop, limit_s: int) -> None:
        super().__init__()
        self._game, self._progress, self._stop, self._limit_s = game, progress, stop, limit_s
        self._rewards = Rewards()
        self._macro = Macro.ECONOMY
        self._clock = -1
        self.started = False  # whether `on_start` has succeeded
        self.outcome: Outcome | None = None
        self.process_ended = False  # set by the watch thread: its StarCraft II has ended, so it plays in another game

    async def on_start(self) -> None:
        """See BotAI. burnysc2 reports an exception raised here as a defeat; `started` distinguishes the two."""
        self.started = True

    async def on_step(self, iteration: int) -> None:
        """See BotAI."""
        self._check_game_process()
        if self._stop.requested:
            raise GameAborted("asked to stop")
        if self.state.game_loop > self._clock:
            self._clock = self.state.game_loop
            self._progress.heartbeat()
        if iteration % DECISION_ITERATIONS == 0:
            state = self._game_state()
            self._game.reward(self._rewards.since_last(state))
            self._macro = Macro(self._game.act(observe(state)))
            await self.distribute_workers()
            self._command_army()
        if iteration % _ORDER_ITERATIONS == 0:
            await self._produce(build_queue(self._macro, self._holdings()))
            self._inject()

    async def on_end(self, game_result: Result) -> None:
        """See BotAI."""
        self._check_game_process()
        if not self.started or game_result not in _RESULTS:
            return
        result = self.outcome = _RESULTS[game_result]
        # burnysc2 reports its time limit as a tie, at the first step after the limit, which on_step does not get.
        if result == "tie" and self.time > self._limit_s - _STEP_S:
            self.outcome = "truncated"
            state = self._game_state()
            self._game.end("truncated", self._rewards.since_last(state), observe(state))
        else:
            self._game.end(result, self._rewards.at_end(result))

    def _check_game_process(self) -> None:
        if self.process_ended:
            raise GameCrashed(PROCESS_ENDED)

    def _game_state(self) -> GameState:
        enemy_army = self.enemy_units.exclude_type({UnitTypeId.SCV, UnitTypeId.PROBE, *_NO_ARMY})
        enemy_bases = sum(structure.type_id in _TOWN_HALLS for structure in self.enemy_structures)
        return GameState(
            minerals=self.minerals,
            vespene=self.vespene,
            supply_used=self.supply_used,
            supply_cap=self.supply_cap,
            workers=self.workers.amount,
            units=self.units.amount,
            enemy_units=self.enemy_units.amount,
            bases=self.townhalls.amount,
            game_time_s=self.state.game_loop / _LOOPS_A_SECOND,
            enemy_bases=enemy_bases,
            upgrades=len(self.state.upgrades),
            larva=self.larva.amount,
            map_control=map_control(self.townhalls.amount, enemy_bases),
            own_army_hp=_health(self._army()),
            enemy_army_hp=_health(enemy_army),
        )

    def _holdings(self) -> Holdings:
        def all_of(name: str) -> int:
            """The number of finished structures, of those under construction, and of those ordered from a drone."""
            kind = UnitTypeId[name]
            return int(self.structures(kind).amount + self.worker_en_route_to_build(kind))

        def ready(name: str) -> int:
            return int(self.structures(UnitTypeId[name]).ready.amount)

        pending = {name for name in UPGRADES if self.already_pending_upgrade(UpgradeId[name])}
        return Holdings(
            supply_used=self.supply_used,
            supply_cap=self.supply_cap + 8 * self.already_pending(UnitTypeId.OVERLORD),
            drones=self.workers.amount + int(self.already_pending(UnitTypeId.DRONE)),
            bases=self.townhalls.amount + int(self.worker_en_route_to_build(UnitTypeId.HATCHERY)),
            queens=self.units(UnitTypeId.QUEEN).amount + int(self.already_pending(UnitTypeId.QUEEN)),
            extractors=all_of("EXTRACTOR"),
            pools=all_of("SPAWNINGPOOL"),
            pools_ready=ready("SPAWNINGPOOL"),
            warrens=all_of("ROACHWARREN"),
            warrens_ready=ready("ROACHWARREN"),
            evolution_chambers=all_of("EVOLUTIONCHAMBER"),
            upgrades=frozenset(pending),
        )

    async def _produce(self, queue: list[str]) -> None:
        """Produce the items of the queue in order, up to the first that cannot be paid yet."""
        for name in queue:
            if name in UPGRADES:
                self.research(UpgradeId[name])  # has no effect if it cannot be paid or its structure is not available
                continue
            kind = UnitTypeId[name]
            if kind in _LARVA_UNITS:
                # One overlord and one drone at a time: the queue is computed again soon.
                amount = 1 if kind in {UnitTypeId.OVERLORD, UnitTypeId.DRONE} else self.larva.amount
                made = not self.larva or self.train(kind, amount) > 0
                if not made and kind != UnitTypeId.ROACH:  # without vespene for roaches, zerglings can still be made
                    return
            elif self.can_afford(kind):
                await self._build(kind)
            else:
                return

    async def _build(self, kind: UnitTypeId) -> None:
        if kind == UnitTypeId.QUEEN:
            self.train(kind)
        elif kind == UnitTypeId.HATCHERY:
            await self.expand_now()
        elif kind == UnitTypeId.EXTRACTOR:
            await self._build_extractor()
        elif self.townhalls:
            await self.build(kind, near=self.townhalls.first.position.towards(self.game_info.map_center, 6))

    async def _build_extractor(self) -> None:
        for base in self.townhalls.ready:
            for geyser in self.vespene_geyser.closer_than(10, base):
                if not self.gas_buildings.closer_than(1, geyser):
                    await self.build(UnitTypeId.EXTRACTOR, near=geyser)
                    return

    def _inject(self) -> None:
        bases = self.townhalls.ready
        for queen in self.units(UnitTypeId.QUEEN).idle:
            if bases and queen.energy >= _INJECT_ENERGY:
                queen(AbilityId.EFFECT_INJECTLARVA, bases.closest_to(queen))

    def _command_army(self) -> None:
        strategy = STRATEGIES[self._macro]
        fighters = self._army()
        attackers = [
            enemy
            for enemy in self.enemy_units | self.enemy_structures
            if self.townhalls and self.townhalls.closest_distance_to(enemy) < _DEFENCE_RANGE
        ]
        if strategy.attack:
            target = self._attack_target()
            if strategy.militia:
                fighters = fighters | self.workers.take(max(self.workers.amount - _MILITIA_LEFT, 0))
        elif attackers:
            target = attackers[0].position
        elif self.townhalls:
            target = self.townhalls.first.position.towards(self.game_info.map_center, 8)
        else:
            return
        for unit in fighters:
            unit.attack(target)
        if attackers:
            for queen in self.units(UnitTypeId.QUEEN):
                queen.attack(attackers[0].position)

    def _attack_target(self) -> Point2:
        if self.enemy_structures:
            return self.enemy_structures.closest_to(self.start_location).position
        return self.enemy_start_locations[0]

    def _army(self) -> Units:
        return self.units.exclude_type(_NO_ARMY)


_TOWN_HALLS = {
    *(UnitTypeId.HATCHERY, UnitTypeId.LAIR, UnitTypeId.HIVE, UnitTypeId.NEXUS),
    *(UnitTypeId.COMMANDCENTER, UnitTypeId.ORBITALCOMMAND, UnitTypeId.PLANETARYFORTRESS),
}


def _health(units: Units) -> float:
    return sum(unit.health + unit.shield for unit in units)
