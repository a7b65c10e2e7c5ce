"""Action spaces: one choice, several choices, or several numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .arguments import finite_numbers, whole_number, whole_numbers
from .errors import ConfigError

Dtype = Literal["<i4", "<f4"]


@dataclass(frozen=True, slots=True)
class Discrete:
    """One of `n` actions, 0 to n - 1. An action is an int32."""

    n: int

    def __post_init__(self) -> None:
        """Check that there are at least two actions."""
        object.__setattr__(self, "n", whole_number("n of Discrete", self.n))
        if self.n < 2:
            raise ConfigError(f"actions: {self.n}, expected at least 2")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of options of each choice."""
        return (self.n,)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one action."""
        return ()

    @property
    def dtype(self) -> Dtype:
        """The dtype of an array of actions."""
        return "<i4"

    @property
    def outputs(self) -> int:
        """The width of the policy's head."""
        return self.n


@dataclass(frozen=True, slots=True)
class MultiDiscrete:
    """Several choices at once, of `sizes` options each. An action is int32 [D]."""

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that each choice has at least two options."""
        object.__setattr__(self, "sizes", whole_numbers("sizes of MultiDiscrete", self.sizes, 2))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one action."""
        return (len(self.sizes),)

    @property
    def dtype(self) -> Dtype:
        """The dtype of an array of actions."""
        return "<i4"

    @property
    def outputs(self) -> int:
        """The width of the policy's head."""
        return sum(self.sizes)


@dataclass(frozen=True, slots=True)
class Box:
    """Several numbers, each between its `low` and its `high`. An action is float32 [D].

    Trajectories contain the numbers that the policy drew, around [-1, 1] and unbounded. The game gets them clipped to
    [-1, 1] and scaled to its bounds.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that the bounds are finite, and each `low` is below its `high`."""
        for name in ("low", "high"):
            object.__setattr__(self, name, finite_numbers(f"{name} of Box", getattr(self, name)))
        if len(self.low) != len(self.high):
            raise ConfigError(f"actions: {len(self.low)} and {len(self.high)} bounds, expected as many of each")
        for low, high in zip(self.low, self.high, strict=True):
            if not low < high:
                raise ConfigError(f"actions: bounds {low} to {high}, expected the lower first")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Empty: there are no options to mask."""
        return ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one action."""
        return (len(self.low),)

    @property
    def dtype(self) -> Dtype:
        """The dtype of an array of actions."""
        return "<f4"

    @property
    def outputs(self) -> int:
        """The width of the policy's head: one mean per number. The deviations do not depend on the observation."""
        return len(self.low)


ActionSpace = Discrete | MultiDiscrete | Box
_KINDS: dict[str, type[Discrete | MultiDiscrete | Box]] = {
    "discrete": Discrete,
    "multi_discrete": MultiDiscrete,
    "box": Box,
}


def actions_to_json(actions: ActionSpace) -> dict[str, Any]:
    """The JSON form of an action space in a run's spec."""
    kind = next(name for name, type_ in _KINDS.items() if isinstance(actions, type_))
    fields = {name: getattr(actions, name) for name in actions.__dataclass_fields__}
    return {"kind": kind, **fields}


def actions_from_json(raw: dict[str, Any]) -> ActionSpace:
    """The inverse of `actions_to_json`. Raises KeyError or TypeError for any other input."""
    kind: Any = _KINDS[raw["kind"]]
    return kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items() if name != "kind"}
    )
