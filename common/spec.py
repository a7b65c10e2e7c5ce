"""The run's spec: the game's arrays, the network's shape, and how actors cut their play into trajectories.

The learner writes the run's spec once. Every actor compares its own game with the spec before it plays, and every
payload is checked against the spec before it is trained on.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from .actions import ActionSpace, actions_from_json, actions_to_json
from .arguments import choice, flag, invalid, text, whole_numbers
from .errors import ConfigError, SpecMismatch
from .observation_parts import ObservationPart, parts_from_json, parts_to_json
from .setting import Setting, check_settings

if TYPE_CHECKING:
    from collections.abc import Collection

Activation = Literal["tanh", "relu"]
Unroll = Literal["steps", "games"]
ObservationFit = Literal["exact", "cut", "pad"]
ObservationDtype = Literal["float32", "uint8"]

FORMAT = 2  # of the stored text; it rises with the format of entries, as both are what learner and actors agree on
READABLE = (1, FORMAT)  # by those who only read what a run or a file holds

# Fields that are stored under their first name, because the digest of a spec must not change: it is in all weights.
_STORED = {"fragment_length": "length", "normalize_observations": "normalise", "observation_fit": "state_fit"}


# Generous bounds, so that the spec of a hostile run cannot make an actor allocate without limit.
FEATURES_MAX = 1 << 22  # numbers of one observation
OUTPUTS_MAX = 1 << 16  # of the policy: options of all choices, or numbers of an action
LAYERS_MAX = 32


@dataclass(frozen=True, slots=True)
class GameSpec:
    """The game's arrays: observations, actions, and whether it has action masks and reports wins."""

    name: str
    observation_shape: tuple[int, ...]  # per game and step
    actions: ActionSpace
    masked: bool = False  # the game says at each step which actions are allowed
    wins: bool = False  # the game says at its end whether it was won
    # As stored and sent. The network computes with float32; it divides uint8 by 255.
    observation_dtype: ObservationDtype = "float32"
    # How the array was made of the game's observation, if that has several parts; see `differs_in_parts`.
    observation_parts: tuple[ObservationPart, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Check that a network can be built for the game."""
        text("name of GameSpec", self.name)
        shape = whole_numbers(f"observation_shape of {self.name}", self.observation_shape, 1)
        object.__setattr__(self, "observation_shape", shape)
        if not isinstance(self.actions, ActionSpace):
            raise invalid(f"actions of {self.name}", self.actions, "a Discrete, a MultiDiscrete or a Box")
        for name in ("masked", "wins"):
            object.__setattr__(self, name, flag(f"{name} of {self.name}", getattr(self, name)))
        choice(f"observation_dtype of {self.name}", self.observation_dtype, get_args(ObservationDtype))
        parts = self.observation_parts
        if not isinstance(parts, tuple) or not all(isinstance(part, ObservationPart) for part in parts):
            raise invalid(f"observation_parts of {self.name}", parts, "a tuple of the parts of an observation")
        if self.features > FEATURES_MAX:
            raise ConfigError(
                f"observation_shape of {self.name}: {self.observation_shape}, expected at most {FEATURES_MAX} numbers"
            )
        if self.actions.outputs > OUTPUTS_MAX:
            raise ConfigError(
                f"actions of {self.name}: {self.actions.outputs} options, expected at most {OUTPUTS_MAX} in all"
            )
        if self.masked and not self.actions.sizes:
            raise ConfigError(f"actions of {self.name}: {self.actions} with a mask, expected discrete ones")
        if self.observation_parts and sum(part.features for part in self.observation_parts) != self.features:
            raise ConfigError(f"observation_parts of {self.name}: expected parts of {self.features} numbers in all")

    @property
    def features(self) -> int:
        """The length of one flattened observation."""
        return math.prod(self.observation_shape)

    def differs_in_parts(self, other: GameSpec) -> bool:
        """Whether both have parts, and other ones. Who has only the array, such as a run of 0.1, fits any."""
        ours, theirs = self.observation_parts, other.observation_parts
        return bool(ours) and bool(theirs) and ours != theirs


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The network of policy and value function.

    A multi-layer perceptron for each, or one with a shared torso and two heads.
    """

    hidden: Annotated[tuple[int, ...], Setting("Widths of the hidden layers.", ge=1, le=1 << 14)] = (64, 64)
    activation: Annotated[Activation, Setting("Activation function of the hidden layers.")] = "tanh"
    shared: Annotated[
        bool, Setting("Policy and value function share the hidden layers, instead of having their own.")
    ] = False
    # Mean and deviation are published with the weights.
    normalize_observations: Annotated[
        bool,
        Setting(
            "Normalize observations by their running mean and standard deviation.",
            auto="true with continuous actions, otherwise false",
        ),
    ] = False

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        check_settings(self)
        if len(self.hidden) > LAYERS_MAX:
            raise ConfigError(f"hidden: {len(self.hidden)} layers, expected at most {LAYERS_MAX}")


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """How actors cut play into trajectories, and when they must wait."""

    unroll: Unroll = "steps"  # fragments of `fragment_length` steps of all games of an actor, or one whole game each
    fragment_length: Annotated[
        int,
        Setting(
            "Length of a trajectory. With reinforce a trajectory is a whole episode, truncated at this length.",
            ge=1,
            le=1 << 20,
            unit="steps",
            auto="32 (reinforce 4096)",
        ),
    ] = 32
    # Not in use: the learner's demand says how much an actor may have unconsumed. But it is in the digests of earlier
    # runs, and so in all of their weights: a learner takes it over from the run's stored spec.
    high_water: int = field(default=2, compare=False)
    lock_step: Annotated[
        bool, Setting("Actors wait for the next version after each trajectory, so that a seed reproduces the run.")
    ] = False
    float16: Annotated[
        bool, Setting("Send observations as 16-bit floats: half the bytes, but only three significant digits.")
    ] = False
    noise_correlation: Annotated[
        float,
        Setting(
            "Correlation of the exploration noise of continuous actions from one step to the next. Log-probabilities "
            "are then given the step before; the noise starts anew with each game and each fragment.",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    observation_fit: Annotated[
        ObservationFit,
        Setting(
            "What to do with observations of another length than the run's. exact: reject them; cut: shorten longer "
            "ones; pad: shorten longer ones, and fill up shorter ones with zeros.",
            command_defaults=(("import", "that of the run"),),
        ),
    ] = "exact"

    def __post_init__(self) -> None:
        """Check ranges once, here."""
        if self.unroll not in get_args(Unroll):
            raise ConfigError(f"unroll: {self.unroll!r}, expected one of {', '.join(get_args(Unroll))}")
        check_settings(self)
        if self.lock_step and self.unroll == "games":
            raise ConfigError("lock_step: true with whole episodes as trajectories, expected an algorithm of fragments")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The spec of a run: everything in which actors and learner must agree. `digest` identifies it."""

    game: GameSpec
    network: NetworkSpec = field(default_factory=NetworkSpec)
    rollout: RolloutSpec = field(default_factory=RolloutSpec)
    seed: int = 0

    def to_json(self) -> str:
        """Canonical text: the same spec always gives the same bytes."""
        raw = _fields(self)
        if self.game.observation_parts:
            raw["game"]["observation_parts"] = parts_to_json(self.game.observation_parts)
        return _to_text({**raw, "format": FORMAT})

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of the canonical text without its format and its observation parts."""
        return _digest(self, self.rollout.high_water)

    @classmethod
    def from_json(cls, text: str | bytes, *, formats: Collection[int] = (FORMAT,)) -> RunSpec:
        """The inverse of `to_json`.

        Args:
            text: a run's spec, as stored.
            formats: those that are taken.

        Raises:
            ConfigError: where the text is no run spec, or one of another format.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            found = raw.get("format", 1)
        except (ValueError, AttributeError, RecursionError) as error:
            raise ConfigError(f"run spec: {error}, expected one written by this version of broodmind") from error
        if found not in formats:
            raise ConfigError(
                f"run spec: format {found!r:.40}, expected {' or '.join(map(str, formats))}: the run's learner is of "
                "another version of broodmind than this process"
            )
        try:
            parts = parts_from_json(raw["game"].get("observation_parts", []))
            game = {
                **_tuples(raw["game"]),
                "actions": actions_from_json(raw["game"]["actions"]),
                "observation_parts": parts,
            }
            return cls(
                game=GameSpec(**game),
                network=NetworkSpec(**_tuples(_from_stored(raw["network"]))),
                rollout=RolloutSpec(**_from_stored(raw["rollout"])),
                seed=int(raw["seed"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ConfigError(f"run spec: {error}, expected one written by this version of broodmind") from error

    def check_game(self, game: GameSpec) -> None:
        """Raise SpecMismatch, naming the field and both values, unless `game` is the game of this run."""
        for name in ("observation_shape", "observation_dtype", "actions", "masked", "wins"):
            ours, theirs = getattr(game, name), getattr(self.game, name)
            if ours != theirs:
                raise SpecMismatch(
                    f"{name} of game {game.name}: {ours}, expected {theirs} (the run's {self.game.name})"
                )
        if game.differs_in_parts(self.game):
            raise SpecMismatch(
                f"observation_parts of game {game.name}: {_in_words(game)}, expected {_in_words(self.game)} (the run's "
                f"{self.game.name})"
            )


@functools.lru_cache(maxsize=16)  # every encoding and decoding of weights needs it, and it takes 0.5 ms
def _digest(spec: RunSpec, _high_water: int) -> str:  # which equal specs may differ in
    return hashlib.sha256(_to_text(_fields(spec)).encode()).hexdigest()[:16]


def _in_words(game: GameSpec) -> str:
    return ", ".join(f"{part.name} ({part.features})" for part in game.observation_parts)


def _fields(spec: RunSpec) -> dict[str, Any]:
    raw = asdict(spec)
    del raw["game"]["observation_parts"]
    raw["game"]["actions"] = actions_to_json(spec.game.actions)
    if spec.game.observation_dtype == "float32":  # so that the digests of earlier runs stay
        del raw["game"]["observation_dtype"]
    for part in ("network", "rollout"):
        raw[part] = {_STORED.get(name, name): value for name, value in raw[part].items()}
    return raw


def _to_text(raw: dict[str, Any]) -> str:
    return json.dumps(raw, sort_keys=True, separators=(",", ":"))


def _from_stored(raw: dict[str, Any]) -> dict[str, Any]:
    names = {stored: name for name, stored in _STORED.items()}
    return {names.get(key, key): value for key, value in raw.items()}


def _tuples(raw: dict[str, Any]) -> dict[str, Any]:
    """Convert lists to tuples: JSON has only lists, and frozen specs have tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
