"""TinyZerg: a Zerg game in miniature, B games at once, for the first command a newcomer runs.

A decision is one of five macro actions for the next 10 seconds of game time; the actions and the features are those
of a StarCraft II bot. All quantities are real numbers: a wounded unit, a damaged base, half a drone count in part.

Every decision
    * workers, as many as the bases have room for, mine minerals and vespene; larvae hatch at the bases; overlords
      are bought when supply runs short;
    * ECONOMY turns larvae into drones and, once the bases are nearly full of them, minerals into another base; TECH
      buys upgrades, each of which makes the whole army stronger; the other three turn larvae into army units;
    * the army stands at home, dug in under DEFENSIVE, or under AGGRESSIVE and ALL_IN it attacks the enemy's bases.
      ALL_IN takes the workers along: the attack is stronger, and workers die in it.

The enemy follows a script. It builds units at a rate that grows with time, expands, upgrades, and every so often sends
a part of its army against us. Each game draws a style (rush, timing, macro) and varies it; neither is shown. What
shows is how many units the enemy has, and map control, which halves one decision before an attack arrives and stays
so until the attack is beaten.

Where two forces meet, each destroys of the other in proportion to its own strength (Lanchester's square law), with
noise, and what the stronger has in excess tears down bases. An army that is away defends nothing.

A game is won when the enemy has no base left, lost when we have none, and cut off after `STEP_LIMIT` decisions.
The reward is +1 for a win and -1 for a loss, plus the change of a potential (see `_potential`) that is 0 at both
ends of a finished game: some reward comes earlier, and the return of a finished game stays +1 or -1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from ...common.actions import Discrete
from ...common.spec import GameSpec
from .vector_game import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


class Macro(IntEnum):
    """The five decisions of the original bot, in its order."""

    ECONOMY = 0
    AGGRESSIVE = 1
    DEFENSIVE = 2
    TECH = 3
    ALL_IN = 4


@dataclass(slots=True)
class State:
    """All games of a `TinyZerg`, one [B] row a quantity, each a view of one packed [K, B] array.

    The first 15 rows are the original bot's features, unscaled, in its order; what follows is not shown to the player.
    """

    minerals: Floats
    vespene: Floats
    supply_used: Floats
    supply_cap: Floats
    workers: Floats
    units: Floats
    enemy_units: Floats  # all of them, those under way to us included
    bases: Floats
    game_time_s: Floats
    enemy_bases: Floats
    upgrades: Floats
    larva: Floats
    map_control: Floats  # 0 theirs .. 1 ours
    own_army_hp: Floats
    enemy_army_hp: Floats

    wave: Floats  # enemy units that are attacking us
    wave_due: Floats  # decisions until the next attack sets out
    wave_interval: Floats  # decisions between two attacks
    wave_share: Floats  # the part of the enemy's army an attack takes, 0 .. 1
    enemy_growth: Floats  # enemy units built each decision at the start
    enemy_acceleration: Floats  # by how much that grows each decision
    enemy_expansion: Floats  # enemy bases built each decision


# What the original bot divides each feature by, and where it then clips.
FEATURE_SCALES = np.array([2000.0, 1000, 200, 200, 100, 100, 100, 10, 1000, 5, 10, 20, 1, 5000, 5000])
FEATURE_LIMIT = 2.0


class Plan(NamedTuple):
    """What a macro action means. As numbers, so that a game's rules need no branch by action."""

    drones: float  # share of the larvae made into drones
    expand: float  # 1 where another base may be built
    army: float  # share of the larvae made into army units
    upgrade: float  # upgrade levels researched each decision
    away: float  # 1 where the army attacks, 0 where it stands at home
    posture: float  # factor on the army's strength
    militia: float  # army units a worker fights for


PLANS = {
    Macro.ECONOMY: Plan(drones=1.0, expand=1, army=0.0, upgrade=0.0, away=0, posture=1.0, militia=0.0),
    Macro.AGGRESSIVE: Plan(drones=0.0, expand=0, army=1.0, upgrade=0.0, away=1, posture=1.0, militia=0.0),
    Macro.DEFENSIVE: Plan(drones=0.0, expand=0, army=1.0, upgrade=0.0, away=0, posture=1.6, militia=0.0),
    Macro.TECH: Plan(drones=0.0, expand=0, army=0.0, upgrade=0.5, away=0, posture=1.0, militia=0.0),
    Macro.ALL_IN: Plan(drones=0.0, expand=0, army=1.0, upgrade=0.0, away=1, posture=1.2, militia=0.2),
}


class Style(NamedTuple):
    """What an enemy's script is made of; the last rows of `State`, of the same meaning, are drawn around these."""

    wave_due: float
    wave_interval: float
    wave_share: float
    growth: float
    acceleration: float
    expansion: float


STYLES = (
    Style(6, 7, 0.9, 0.95, 0.000, 0.010),  # rush: early and often, with all it has, at the cost of later
    Style(18, 10, 0.8, 0.50, 0.015, 0.020),  # timing: one strong attack when a greedy player is weakest
    Style(40, 12, 0.6, 0.12, 0.036, 0.035),  # macro: harmless at first, soon more than an army can stop
)
STYLE_SPREAD = 0.25  # each number of a style varies by as much from game to game, up or down

DECISION_S = 10.0  # game seconds: most games are then 20 to 70 decisions
STEP_LIMIT = 150  # decisions, 25 minutes: who has not won by then only waits

# Costs and rates of the real game, rounded; rates are per decision.
MINERALS_PER_WORKER = 7.0
VESPENE_PER_WORKER = 2.5
WORKERS_PER_BASE = 22.0  # 16 on minerals, 6 on gas
LARVA_PER_BASE = 2.0
LARVA_LIMIT_PER_BASE = 6.0
DRONE_MINERALS = 50.0
UNIT_MINERALS, UNIT_VESPENE, UNIT_SUPPLY, UNIT_HP = 75.0, 25.0, 2.0, 145.0  # a roach
OVERLORD_MINERALS, OVERLORD_SUPPLY = 100.0, 8.0
SUPPLY_MARGIN = 16.0  # overlords keep this much room: about what three bases' larvae take in one decision
SUPPLY_LIMIT = 200.0
BASE_MINERALS, BASE_LIMIT = 300.0, 5.0
EXPAND_AT = 0.7  # a new base once the old ones have this part of their workers: drones go on meanwhile
UPGRADE_COST, UPGRADE_LIMIT = 200.0, 6.0  # minerals, and as much vespene
UPGRADE_STRENGTH = 0.12  # a level adds this much to a unit's strength

ENEMY_UNITS_LIMIT = 70.0
ENEMY_BASES_LIMIT = 4.0
ENEMY_UPGRADE_STRENGTH = 0.005  # added to an enemy unit's strength each decision
ENEMY_BASE_STRENGTH = 4.0  # units that the static defence of one enemy base stands for

ATTRITION = 0.22  # strength destroyed by one of strength in a decision
NOISE = 0.2  # a force's strength varies by as much, up or down
SIEGE = 0.012  # enemy bases torn down by one of strength in excess
RAID = 0.06  # the same for our bases: they have no static defence, only the army
RAIDED_WORKERS = 12.0  # workers killed along with one base
MILITIA_LOSSES = 0.15  # part of the workers lost in one decision of ALL_IN
RUIN = 0.05  # a base of which no more is left is destroyed; above what an enemy builds in one decision

_PLAN_TABLE = np.array([PLANS[macro] for macro in Macro]).T  # [fields of Plan, actions]
_STYLE_TABLE = np.array(STYLES).T  # [fields of Style, styles]
_FEATURES = len(FEATURE_SCALES)
_ROWS = len(fields(State))
_DRAWS = 1 + len(Style._fields)  # uniform numbers a game gets each decision: a fight uses 2, a new game all


class TinyZerg:
    """`num_envs` games. Each gets as many random numbers a decision whatever happens: no game affects another."""

    spec = GameSpec(name="TinyZerg", observation_shape=(_FEATURES,), actions=Discrete(len(Macro)), wins=True)

    def __init__(self, num_envs: int) -> None:
        assert num_envs >= 1, f"num_envs: {num_envs}, expected at least 1"
        self.num_envs = num_envs
        self._packed = np.zeros((_ROWS, num_envs))
        self._state = State(*self._packed)
        self._ended = np.zeros(num_envs, np.bool_)
        self._potential = np.zeros(num_envs)
        self._rng = np.random.default_rng(0)

    def reset(self, seed: int) -> Step:
        """Start all games anew; the same seed and actions give the same games, bit for bit."""
        self._rng = np.random.default_rng(np.random.SeedSequence(seed))
        self._packed[:] = _new_games(self._draw())
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._potential = _potential(self._state)
        nothing = np.zeros(self.num_envs, np.bool_)
        return Step(
            observations=_observe(self._packed),
            rewards=np.zeros(self.num_envs, np.float32),
            terminated=nothing,
            truncated=nothing.copy(),
            wins=nothing.copy(),
        )

    def step(self, actions: NDArray[np.generic]) -> Step:
        """Advance every game by one decision. `actions`: integers [B], values of `Macro`."""
        assert actions.shape == (self.num_envs,), f"actions: {actions.shape}, expected {(self.num_envs,)}"
        state, began, draws = self._state, self._ended, self._draw()
        plan = Plan(*_PLAN_TABLE[:, actions])
        _produce(state, plan)
        _fight(state, plan, 1.0 + NOISE * (2.0 * draws[:2] - 1.0))
        _enemy_turn(state)  # after the fight: an attack that sets out is seen one decision before it arrives
        _derive(state)
        if began.any():
            self._packed[:, began] = _new_games(draws)[:, began]

        lost = state.bases <= RUIN
        wins = (state.enemy_bases <= RUIN) & ~lost
        terminated = lost | wins
        truncated = (state.game_time_s >= STEP_LIMIT * DECISION_S) & ~terminated
        potential = _potential(state) * ~terminated
        rewards = np.where(began, 0.0, potential - self._potential + wins - lost)
        self._potential, self._ended = potential, terminated | truncated
        return Step(
            observations=_observe(self._packed),
            rewards=rewards.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            wins=wins,
        )

    def close(self) -> None:
        """Nothing is held."""

    def _draw(self) -> Floats:
        """Uniform numbers in [0, 1), [_DRAWS, B]."""
        return self._rng.random((_DRAWS, self.num_envs))


def _new_games(draws: Floats) -> Floats:
    """Packed states [K, B] of games that begin, their enemies taken from `draws` [_DRAWS, B]."""
    packed = np.zeros((_ROWS, draws.shape[1]))
    state = State(*packed)
    state.minerals[:] = 50.0
    state.workers[:] = 12.0
    state.supply_cap[:] = 14.0
    state.larva[:] = 3.0
    state.bases[:] = 1.0
    state.units[:] = 1.0
    state.enemy_bases[:] = 1.0
    state.enemy_units[:] = 1.0
    style = _STYLE_TABLE[:, (draws[0] * len(STYLES)).astype(np.intp)]
    packed[-len(Style._fields) :] = style * (1.0 + STYLE_SPREAD * (2.0 * draws[1:] - 1.0))
    np.minimum(state.wave_share, 1.0, out=state.wave_share)
    _derive(state)
    return packed


def _produce(s: State, plan: Plan) -> None:
    """One decision of mining and spending. Whatever lacks most limits what is bought."""
    mining = np.minimum(s.workers, WORKERS_PER_BASE * s.bases)
    s.minerals += MINERALS_PER_WORKER * mining
    s.vespene += VESPENE_PER_WORKER * mining
    np.minimum(s.larva + LARVA_PER_BASE * s.bases, LARVA_LIMIT_PER_BASE * s.bases, out=s.larva)

    wanted = np.minimum(s.supply_used + SUPPLY_MARGIN, SUPPLY_LIMIT) - s.supply_cap
    overlords = np.minimum(np.maximum(wanted, 0.0) / OVERLORD_SUPPLY, s.minerals / OVERLORD_MINERALS)
    s.minerals -= OVERLORD_MINERALS * overlords
    s.supply_cap += OVERLORD_SUPPLY * overlords

    full = s.workers >= EXPAND_AT * WORKERS_PER_BASE * s.bases
    new_base = plan.expand * (full & (s.minerals >= BASE_MINERALS) & (s.bases <= BASE_LIMIT - 1.0))
    s.minerals -= BASE_MINERALS * new_base
    s.bases += new_base

    room = np.maximum(s.supply_cap - s.supply_used, 0.0)
    drones = np.minimum(np.minimum(plan.drones * s.larva, room), s.minerals / DRONE_MINERALS)
    s.workers += drones
    s.minerals -= DRONE_MINERALS * drones

    affordable = np.minimum(s.minerals / UNIT_MINERALS, s.vespene / UNIT_VESPENE)
    units = np.minimum(np.minimum(plan.army * s.larva, room / UNIT_SUPPLY), affordable)
    s.units += units
    s.minerals -= UNIT_MINERALS * units
    s.vespene -= UNIT_VESPENE * units
    s.larva -= drones + units

    affordable = np.minimum(s.minerals, s.vespene) / UPGRADE_COST
    levels = np.minimum(np.minimum(plan.upgrade, UPGRADE_LIMIT - s.upgrades), affordable)
    s.upgrades += levels
    s.minerals -= UPGRADE_COST * levels
    s.vespene -= UPGRADE_COST * levels
    s.game_time_s += DECISION_S


def _enemy_turn(s: State) -> None:
    """The enemy builds, expands, and sends an attack when one is due."""
    decisions = s.game_time_s / DECISION_S
    s.enemy_units += s.enemy_growth + s.enemy_acceleration * decisions
    np.minimum(s.enemy_units, ENEMY_UNITS_LIMIT, out=s.enemy_units)
    np.minimum(s.enemy_bases + s.enemy_expansion, ENEMY_BASES_LIMIT, out=s.enemy_bases)
    s.wave_due -= 1.0
    due = s.wave_due <= 0.0
    s.wave_due += due * s.wave_interval
    np.maximum(s.wave, due * s.wave_share * s.enemy_units, out=s.wave)


def _fight(s: State, plan: Plan, noise: Floats) -> None:
    """One decision of battle, at home or at the enemy's. `noise` [2, B]: factors on our strength and theirs."""
    our_quality = (1.0 + UPGRADE_STRENGTH * s.upgrades) * plan.posture
    their_quality = _enemy_quality(s)
    wave_strength = s.wave * their_quality * noise[1]
    stayed = s.enemy_units - s.wave
    met = np.where(plan.away, stayed, s.wave)
    ours = (s.units + plan.militia * s.workers) * our_quality * noise[0]
    theirs = met * their_quality * noise[1] + plan.away * ENEMY_BASE_STRENGTH * s.enemy_bases

    s.units -= np.minimum(s.units, ATTRITION * theirs / our_quality)
    killed = np.minimum(met, ATTRITION * ours / their_quality)
    s.enemy_units -= killed
    s.wave -= (1.0 - plan.away) * killed

    s.enemy_bases -= SIEGE * plan.away * np.maximum(ours - theirs, 0.0)
    razed = RAID * np.maximum(wave_strength - (1.0 - plan.away) * ours, 0.0)
    s.bases -= razed
    spared = 1.0 - MILITIA_LOSSES * (plan.militia > 0.0)
    np.maximum(s.workers * spared - RAIDED_WORKERS * razed, 0.0, out=s.workers)
    np.maximum(s.bases, 0.0, out=s.bases)
    np.maximum(s.enemy_bases, 0.0, out=s.enemy_bases)


def _derive(s: State) -> None:
    """Fill the features that follow from others."""
    np.add(s.workers, UNIT_SUPPLY * s.units, out=s.supply_used)
    np.multiply(UNIT_HP * s.units, 1.0 + UPGRADE_STRENGTH * s.upgrades, out=s.own_army_hp)
    np.multiply(UNIT_HP * s.enemy_units, _enemy_quality(s), out=s.enemy_army_hp)
    ours = s.own_army_hp / (s.own_army_hp + s.enemy_army_hp + 1.0)
    np.multiply(ours, 1.0 - 0.5 * np.minimum(s.wave, 1.0), out=s.map_control)


def _enemy_quality(s: State) -> Floats:
    """The strength of one enemy unit [B]; it upgrades steadily."""
    return 1.0 + ENEMY_UPGRADE_STRENGTH / DECISION_S * s.game_time_s


def _potential(s: State) -> Floats:
    """How far we are ahead in army and bases [B], within (-0.6, 0.7); 0 at the start of a game."""
    lead = (s.own_army_hp - s.enemy_army_hp) / (s.own_army_hp + s.enemy_army_hp + 1.0)
    return 0.2 * lead + 0.1 * (s.bases - s.enemy_bases)


def _observe(packed: Floats) -> NDArray[np.float32]:
    """The features, scaled and clipped [B, 15]."""
    scaled = packed[:_FEATURES].T / FEATURE_SCALES
    return np.clip(scaled, 0.0, FEATURE_LIMIT).astype(np.float32, order="C")
