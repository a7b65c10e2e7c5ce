"""What a run is made for: the game's arrays, the network's shape, how actors cut their play into trajectories.

The learner writes the run's spec once; every actor holds its own game against it before it plays, and every payload
is held against it before it is trained on.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from .actions import ActionSpace, actions_from_json, actions_to_json
from .errors import ConfigError, SpecMismatch

Activation = Literal["tanh", "relu"]
Unroll = Literal["steps", "games"]
StateFit = Literal["exact", "cut", "pad"]


@dataclass(frozen=True, slots=True)
class GameSpec:
    """The arrays that go in and out of a game."""

    name: str
    observation_shape: tuple[int, ...]  # float32 per game and step
    actions: ActionSpace
    masked: bool = False  # the game says at each step which actions are allowed
    wins: bool = False  # the game says at its end whether it was won

    def __post_init__(self) -> None:
        """Refuse what no network could be built for."""
        if not self.observation_shape or any(dim <= 0 for dim in self.observation_shape):
            raise ConfigError(f"observation shape of {self.name}: {self.observation_shape}, expected positive sizes")
        if self.masked and not self.actions.sizes:
            raise ConfigError(f"actions of {self.name}: {self.actions} with a mask, expected discrete ones")

    @property
    def features(self) -> int:
        """The length of one observation laid flat."""
        return math.prod(self.observation_shape)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A multi-layer perceptron for the policy, and one for the value function."""

    hidden: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    shared: bool = False  # one torso for policy and value, or one each
    normalise: bool = False  # observations by their running mean and deviation, which travel with the weights

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        _one_of("activation", self.activation, get_args(Activation))
        if not self.hidden or any(width <= 0 for width in self.hidden):
            raise ConfigError(f"hidden: {self.hidden}, expected one positive width a layer")


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """How actors cut play into trajectories, and when they must wait."""

    unroll: Unroll = "steps"  # fixed pieces of `length` steps of all games of an actor, or one whole game each
    length: int = 32  # steps a piece; for whole games, the longest game accepted
    high_water: int = 2  # entries unconsumed in an actor's stream at which it waits
    lock_step: bool = False  # after each piece wait for the next version: on-policy, reproducible with a seed
    float16: bool = False  # observations travel as half floats: half the bytes, three significant digits
    noise_correlation: float = 0.0  # from step to step, of the noise by which actions that are numbers are drawn
    state_fit: StateFit = "exact"  # what is done with state vectors of another length: nothing, cut, or pad and cut

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        _one_of("unroll", self.unroll, get_args(Unroll))
        _one_of("state_fit", self.state_fit, get_args(StateFit))
        _at_least("rollout length", self.length, 1)
        _at_least("high_water", self.high_water, 1)
        if not 0 <= self.noise_correlation < 1:
            raise ConfigError(f"noise_correlation: {self.noise_correlation}, expected at least 0 and less than 1")
        if self.lock_step and self.unroll == "games":
            raise ConfigError("lock_step: True with unroll='games', expected unroll='steps'")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything an actor must agree with; `digest` names it."""

    game: GameSpec
    network: NetworkSpec = field(default_factory=NetworkSpec)
    rollout: RolloutSpec = field(default_factory=RolloutSpec)
    seed: int = 0

    def to_json(self) -> str:
        """Canonical text: the same spec always gives the same bytes."""
        raw = asdict(self)
        raw["game"]["actions"] = actions_to_json(self.game.actions)
        return json.dumps(raw, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical text."""
        return _digest(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> RunSpec:
        """The inverse of `to_json`. Raises ConfigError where the text is no run spec of this version."""
        try:
            raw: dict[str, Any] = json.loads(text)
            game = {**_tuples(raw["game"]), "actions": actions_from_json(raw["game"]["actions"])}
            return cls(
                game=GameSpec(**game),
                network=NetworkSpec(**_tuples(raw["network"])),
                rollout=RolloutSpec(**raw["rollout"]),
                seed=int(raw["seed"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ConfigError(f"run spec: {error}, expected one written by this version of broodmind") from error

    def check_game(self, game: GameSpec) -> None:
        """Raise SpecMismatch, naming the field and both values, unless `game` is the game of this run."""
        for name in ("observation_shape", "actions", "masked", "wins"):
            ours, theirs = getattr(game, name), getattr(self.game, name)
            if ours != theirs:
                raise SpecMismatch(
                    f"{name} of game {game.name}: {ours}, expected {theirs} (the run's {self.game.name})"
                )


@functools.lru_cache(maxsize=16)  # it is in every version of the weights, and takes half a millisecond
def _digest(spec: RunSpec) -> str:
    return hashlib.sha256(spec.to_json().encode()).hexdigest()[:16]


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only; frozen specs hold tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: {value!r}, expected one of {', '.join(allowed)}")


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(f"{name}: {value}, expected at least {least}")
