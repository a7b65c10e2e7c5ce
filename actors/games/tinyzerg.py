"""TinyZerg: a small economy-and-army game, B games at once, that is learnt in seconds.

An action is one of five macro actions for the next 10 seconds of game time; the actions and the features are those of
a StarCraft II bot. All quantities are real numbers: there can be half a drone, or a part of a damaged base.

In every step
    * workers, up to the number that the bases have room for, mine minerals and vespene; larvae hatch at the bases;
      overlords are bought when supply runs short;
    * ECONOMY turns larvae into drones and, when the bases are nearly full of drones, minerals into another base; TECH
      buys upgrades, each of which makes the whole army stronger; the other three actions turn larvae into army units;
    * the army stays at home, where DEFENSIVE makes it stronger, or under AGGRESSIVE and ALL_IN it attacks the enemy's
      bases. Under ALL_IN the workers attack too: the attack is stronger, and some of the workers die.

The enemy follows a script. It builds units at a rate that grows with time, expands, upgrades, and at intervals sends a
part of its army to attack. Each game draws a style (rush, timing, macro) and varies it; neither is part of the
observation. The observation shows how many units the enemy has, and map control, which is halved from one step before
an attack arrives until the attack is defeated.

When two forces meet, each destroys a part of the other in proportion to its own strength (Lanchester's square law),
with noise, and the stronger force's excess strength destroys bases. An army that attacks does not defend.

A game is won when the enemy has no base left, lost when the player has none left, and truncated after `STEP_LIMIT`
steps. The reward is +1 for a win and -1 for a loss, plus the change of a potential (see `_potential`) that is 0 at the
start and at the end of a game: the agent gets some reward earlier, and the return of a finished game is +1 or -1.
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
    """The five macro actions of the original bot, in its order."""

    ECONOMY = 0
    AGGRESSIVE = 1
    DEFENSIVE = 2
    TECH = 3
    ALL_IN = 4


@dataclass(slots=True)
class State:
    """The state of all games of a `TinyZerg`: one [B] row for each quantity, each a view of one packed [K, B] array.

    The first 15 rows are the original bot's features, unscaled, in its order. The others are not observed.
    """

    minerals: Floats
    vespene: Floats
    supply_used: Floats
    supply_cap: Floats
    workers: Floats
    units: Floats
    enemy_units: Floats  # all of them, including those that are attacking
    bases: Floats
    game_time_s: Floats
    enemy_bases: Floats
    upgrades: Floats
    larva: Floats
    map_control: Floats  # 0 (the enemy's) to 1 (ours)
    own_army_hp: Floats
    enemy_army_hp: Floats

    wave: Floats  # enemy units that are attacking us
    wave_due: Floats  # decisions until the next attack sets out
    wave_interval: Floats  # decisions between two attacks
    wave_share: Floats  # the fraction of the enemy's army that takes part in an attack, 0 to 1
    enemy_growth: Floats  # enemy units built in each step at the start of the game
    enemy_acceleration: Floats  # the increase of that number in each step
    enemy_expansion: Floats  # enemy bases built in each step


# The original bot divides the features by these scales and then clips them to [0, FEATURE_LIMIT].
FEATURE_SCALES = np.array([2000.0, 1000, 200, 200, 100, 100, 100, 10, 1000, 5, 10, 20, 1, 5000, 5000])
FEATURE_LIMIT = 2.0


class MacroEffect(NamedTuple):
    """The effect of a macro action, as numbers, so that the rules need no branch for each action."""

    drones: float  # fraction of the larvae that become drones
    expand: float  # 1 if another base may be built
    army: float  # fraction of the larvae that become army units
    upgrade: float  # upgrade levels researched in one step
    away: float  # 1 if the army attacks, 0 if it stays at home
    posture: float  # factor of the army's strength
    militia: float  # the strength of one fighting worker, in army units


MACRO_EFFECTS = {
    Macro.ECONOMY: MacroEffect(drones=1.0, expand=1, army=0.0, upgrade=0.0, away=0, posture=1.0, militia=0.0),
    Macro.AGGRESSIVE: MacroEffect(drones=0.0, expand=0, army=1.0, upgrade=0.0, away=1, posture=1.0, militia=0.0),
    Macro.DEFENSIVE: MacroEffect(drones=0.0, expand=0, army=1.0, upgrade=0.0, away=0, posture=1.6, militia=0.0),
    Macro.TECH: MacroEffect(drones=0.0, expand=0, army=0.0, upgrade=0.5, away=0, posture=1.0, militia=0.0),
    Macro.ALL_IN: MacroEffect(drones=0.0, expand=0, army=1.0, upgrade=0.0, away=1, posture=1.2, militia=0.2),
}


class Style(NamedTuple):
    """The parameters of an enemy's script. The last rows of `State` have the same meaning and vary around them."""

    wave_due: float
    wave_interval: float
    wave_share: float
    growth: float
    acceleration: float
    expansion: float


STYLES = (
    Style(6, 7, 0.9, 0.95, 0.000, 0.010),  # rush: early and frequent attacks with all units, and no growth later
    Style(18, 10, 0.8, 0.50, 0.015, 0.020),  # timing: one strong attack when a player without an army is weakest
    Style(40, 12, 0.6, 0.12, 0.036, 0.035),  # macro: weak at first, later stronger than any army
)
STYLE_SPREAD = 0.25  # each parameter of a style varies from game to game by up to this fraction, up or down

DECISION_S = 10.0  # game seconds of a step; most games are then 20 to 70 steps long
STEP_LIMIT = 150  # steps, 25 minutes of game time: a game that is not decided by then makes no progress

# Costs and rates of the real game, rounded; rates are per step.
MINERALS_PER_WORKER = 7.0
VESPENE_PER_WORKER = 2.5
WORKERS_PER_BASE = 22.0  # 16 on minerals, 6 on gas
LARVA_PER_BASE = 2.0
LARVA_LIMIT_PER_BASE = 6.0
DRONE_MINERALS = 50.0
UNIT_MINERALS, UNIT_VESPENE, UNIT_SUPPLY, UNIT_HP = 75.0, 25.0, 2.0, 145.0  # a roach
OVERLORD_MINERALS, OVERLORD_SUPPLY = 100.0, 8.0
SUPPLY_MARGIN = 16.0  # free supply for which overlords are bought: about what three bases' larvae use in one step
SUPPLY_LIMIT = 200.0
BASE_MINERALS, BASE_LIMIT = 300.0, 5.0
EXPAND_AT = 0.7  # a base is built when the bases have this fraction of the workers they have room for
UPGRADE_COST, UPGRADE_LIMIT = 200.0, 6.0  # minerals, and as much vespene
UPGRADE_STRENGTH = 0.12  # a level adds this much to a unit's strength

ENEMY_UNITS_LIMIT = 70.0
ENEMY_BASES_LIMIT = 4.0
ENEMY_UPGRADE_STRENGTH = 0.005  # added to an enemy unit's strength in each step
ENEMY_BASE_STRENGTH = 4.0  # the strength of the static defence of one enemy base, in units

ATTRITION = 0.22  # strength destroyed by one unit of strength in one step
NOISE = 0.2  # a force's strength varies by up to this fraction, up or down
SIEGE = 0.012  # enemy bases destroyed by one unit of excess strength in one step
RAID = 0.06  # the same for our bases, which have no static defence
RAIDED_WORKERS = 12.0  # workers killed with each base
MILITIA_LOSSES = 0.15  # fraction of the workers lost in one step of ALL_IN
MIN_BASE = 0.05  # a base that is smaller counts as destroyed; more than an enemy builds in one step

_EFFECT_TABLE = np.array([MACRO_EFFECTS[macro] for macro in Macro]).T  # [fields of MacroEffect, actions]
_STYLE_TABLE = np.array(STYLES).T  # [fields of Style, styles]
_FEATURES = len(FEATURE_SCALES)
_ROWS = len(fields(State))
_DRAWS = 1 + len(Style._fields)  # uniform numbers drawn for a game in each step: a fight uses 2, a new game all


class TinyZerg:
    """`num_envs` games of TinyZerg.

    Every step draws the same number of random numbers for each game, so that the games do not affect each other.
    `state` is the current state of all games. Changing its arrays changes the games.
    """

    spec = GameSpec(name="TinyZerg", observation_shape=(_FEATURES,), actions=Discrete(len(Macro)), wins=True)

    def __init__(self, num_envs: int) -> None:
        assert num_envs >= 1, f"num_envs: {num_envs}, expected at least 1"
        self.num_envs = num_envs
        self._packed = np.zeros((_ROWS, num_envs))
        self.state = State(*self._packed)
        self._ended = np.zeros(num_envs, np.bool_)
        self._potential = np.zeros(num_envs)
        self._rng = np.random.default_rng(0)

    def reset(self, seed: int) -> Step:
        """Start all games again. The same seed and actions give the same games, bit for bit."""
        self._rng = np.random.default_rng(np.random.SeedSequence(seed))
        self._packed[:] = _new_games(self._draw())
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._potential = _potential(self.state)
        none_ended = np.zeros(self.num_envs, np.bool_)
        return Step(
            observations=_observe(self._packed),
            rewards=np.zeros(self.num_envs, np.float32),
            terminated=none_ended,
            truncated=none_ended.copy(),
            wins=none_ended.copy(),
        )

    def step(self, actions: NDArray[np.generic]) -> Step:
        """Advance every game by one step. `actions`: integers [B], values of `Macro`."""
        assert actions.shape == (self.num_envs,), f"actions: {actions.shape}, expected {(self.num_envs,)}"
        state, began, draws = self.state, self._ended, self._draw()
        effect = MacroEffect(*_EFFECT_TABLE[:, actions])
        _produce(state, effect)
        _fight(state, effect, 1.0 + NOISE * (2.0 * draws[:2] - 1.0))
        _enemy_turn(state)  # after the fight: an attack that sets out is seen one decision before it arrives
        _derive(state)
        if began.any():
            self._packed[:, began] = _new_games(draws)[:, began]

        lost = state.bases <= MIN_BASE
        wins = (state.enemy_bases <= MIN_BASE) & ~lost
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

    def render(self) -> str:
        """The observed quantities of the first game as text."""
        names = [each.name for each in fields(State)][:_FEATURES]
        return "   ".join(f"{name} {abs(round(self._packed[row, 0], 2)):g}" for row, name in enumerate(names))

    def close(self) -> None:
        """See VectorGame. There are no resources to release."""

    def _draw(self) -> Floats:
        """Uniform numbers in [0, 1), [_DRAWS, B]."""
        return self._rng.random((_DRAWS, self.num_envs))


def _new_games(draws: Floats) -> Floats:
    """Packed states [K, B] of new games. Their enemies are derived from `draws` [_DRAWS, B]."""
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


def _produce(s: State, effect: MacroEffect) -> None:
    """Mine and spend for one step. The scarcest resource limits what is bought."""
    mining = np.minimum(s.workers, WORKERS_PER_BASE * s.bases)
    s.minerals += MINERALS_PER_WORKER * mining
    s.vespene += VESPENE_PER_WORKER * mining
    np.minimum(s.larva + LARVA_PER_BASE * s.bases, LARVA_LIMIT_PER_BASE * s.bases, out=s.larva)

    wanted = np.minimum(s.supply_used + SUPPLY_MARGIN, SUPPLY_LIMIT) - s.supply_cap
    overlords = np.minimum(np.maximum(wanted, 0.0) / OVERLORD_SUPPLY, s.minerals / OVERLORD_MINERALS)
    s.minerals -= OVERLORD_MINERALS * overlords
    s.supply_cap += OVERLORD_SUPPLY * overlords

    full = s.workers >= EXPAND_AT * WORKERS_PER_BASE * s.bases
    new_base = effect.expand * (full & (s.minerals >= BASE_MINERALS) & (s.bases <= BASE_LIMIT - 1.0))
    s.minerals -= BASE_MINERALS * new_base
    s.bases += new_base

    room = np.maximum(s.supply_cap - s.supply_used, 0.0)
    drones = np.minimum(np.minimum(effect.drones * s.larva, room), s.minerals / DRONE_MINERALS)
    s.workers += drones
    s.minerals -= DRONE_MINERALS * drones

    affordable = np.minimum(s.minerals / UNIT_MINERALS, s.vespene / UNIT_VESPENE)
    units = np.minimum(np.minimum(effect.army * s.larva, room / UNIT_SUPPLY), affordable)
    s.units += units
    s.minerals -= UNIT_MINERALS * units
    s.vespene -= UNIT_VESPENE * units
    s.larva -= drones + units

    affordable = np.minimum(s.minerals, s.vespene) / UPGRADE_COST
    levels = np.minimum(np.minimum(effect.upgrade, UPGRADE_LIMIT - s.upgrades), affordable)
    s.upgrades += levels
    s.minerals -= UPGRADE_COST * levels
    s.vespene -= UPGRADE_COST * levels
    s.game_time_s += DECISION_S


def _enemy_turn(s: State) -> None:
    """Let the enemy build, expand, and start an attack when one is due."""
    decisions = s.game_time_s / DECISION_S
    s.enemy_units += s.enemy_growth + s.enemy_acceleration * decisions
    np.minimum(s.enemy_units, ENEMY_UNITS_LIMIT, out=s.enemy_units)
    np.minimum(s.enemy_bases + s.enemy_expansion, ENEMY_BASES_LIMIT, out=s.enemy_bases)
    s.wave_due -= 1.0
    due = s.wave_due <= 0.0
    s.wave_due += due * s.wave_interval
    np.maximum(s.wave, due * s.wave_share * s.enemy_units, out=s.wave)


def _fight(s: State, effect: MacroEffect, noise: Floats) -> None:
    """Fight for one step, at home or at the enemy's bases. `noise` [2, B]: factors of our strength and theirs."""
    our_quality = (1.0 + UPGRADE_STRENGTH * s.upgrades) * effect.posture
    their_quality = _enemy_quality(s)
    wave_strength = s.wave * their_quality * noise[1]
    stayed = s.enemy_units - s.wave
    met = np.where(effect.away, stayed, s.wave)
    ours = (s.units + effect.militia * s.workers) * our_quality * noise[0]
    theirs = met * their_quality * noise[1] + effect.away * ENEMY_BASE_STRENGTH * s.enemy_bases

    s.units -= np.minimum(s.units, ATTRITION * theirs / our_quality)
    killed = np.minimum(met, ATTRITION * ours / their_quality)
    s.enemy_units -= killed
    s.wave -= (1.0 - effect.away) * killed

    s.enemy_bases -= SIEGE * effect.away * np.maximum(ours - theirs, 0.0)
    razed = RAID * np.maximum(wave_strength - (1.0 - effect.away) * ours, 0.0)
    s.bases -= razed
    spared = 1.0 - MILITIA_LOSSES * (effect.militia > 0.0)
    np.maximum(s.workers * spared - RAIDED_WORKERS * razed, 0.0, out=s.workers)
    np.maximum(s.bases, 0.0, out=s.bases)
    np.maximum(s.enemy_bases, 0.0, out=s.enemy_bases)


def _derive(s: State) -> None:
    """Compute the features that depend on other quantities."""
    np.add(s.workers, UNIT_SUPPLY * s.units, out=s.supply_used)
    np.multiply(UNIT_HP * s.units, 1.0 + UPGRADE_STRENGTH * s.upgrades, out=s.own_army_hp)
    np.multiply(UNIT_HP * s.enemy_units, _enemy_quality(s), out=s.enemy_army_hp)
    ours = s.own_army_hp / (s.own_army_hp + s.enemy_army_hp + 1.0)
    np.multiply(ours, 1.0 - 0.5 * np.minimum(s.wave, 1.0), out=s.map_control)


def _enemy_quality(s: State) -> Floats:
    """The strength of one enemy unit [B], which grows with time."""
    return 1.0 + ENEMY_UPGRADE_STRENGTH / DECISION_S * s.game_time_s


def _potential(s: State) -> Floats:
    """The player's lead in army and bases [B], in (-0.6, 0.7); 0 at the start of a game."""
    lead = (s.own_army_hp - s.enemy_army_hp) / (s.own_army_hp + s.enemy_army_hp + 1.0)
    return 0.2 * lead + 0.1 * (s.bases - s.enemy_bases)


def _observe(packed: Floats) -> NDArray[np.float32]:
    """The features, scaled and clipped [B, 15]."""
    scaled = packed[:_FEATURES].T / FEATURE_SCALES
    return np.clip(scaled, 0.0, FEATURE_LIMIT).astype(np.float32, order="C")
