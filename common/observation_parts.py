"""The parts of an observation that is a dict, a tuple or an option's number: how they make one flat array.

Networks have one input. So an observation of several arrays is flattened as by `gymnasium.spaces.utils.flatten`: the
parts one after the other, and an option's number as one-hot. A run's spec has the parts, and so have its checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from .errors import ConfigError

PartKind = Literal["numbers", "image", "one_hot"]
Path: TypeAlias = "tuple[str | int, ...]"

PARTS_MAX = 1 << 12


@dataclass(frozen=True, slots=True)
class ObservationPart:
    """One array of an observation.

    `numbers` are taken as they are, an `image` of uint8 is divided by 255, and of a `one_hot` part each element is the
    number of an option: one of `sizes[i]`, counted from `start[i]`.
    """

    path: Path  # the keys of dicts and the indices of tuples that lead to it; empty: it is the observation itself
    kind: PartKind
    shape: tuple[int, ...]  # in the observation
    sizes: tuple[int, ...] = ()
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check that the fields fit together."""
        options = math.prod(self.shape) if self.kind == "one_hot" else 0
        numbers = (*self.shape, *self.sizes, *self.start)
        if (
            self.kind not in get_args(PartKind)
            or not isinstance(self.path, tuple)
            or not all(isinstance(key, str | int) for key in (*self.path, *numbers))
            or any(isinstance(number, str) for number in numbers)
            or any(dim < 0 for dim in self.shape)
            or (len(self.sizes), len(self.start)) != (options, options)
            or any(size < 1 for size in self.sizes)
        ):
            raise ConfigError(f"observation part {self.name}: {self}, expected one of this version of broodmind")

    @property
    def name(self) -> str:
        """The path as text."""
        return ".".join(map(str, self.path)) or "observation"

    @property
    def features(self) -> int:
        """How many numbers of the flat array are of this part."""
        return sum(self.sizes) if self.kind == "one_hot" else math.prod(self.shape)


def parts_to_json(parts: tuple[ObservationPart, ...]) -> list[dict[str, Any]]:
    """The JSON form of parts in a run's spec."""
    return [{name: value for name, value in asdict(part).items() if value or name != "sizes"} for part in parts]


def parts_from_json(raw: list[dict[str, Any]]) -> tuple[ObservationPart, ...]:
    """The inverse of `parts_to_json`. Raises TypeError or ConfigError for any other input."""
    if len(raw) > PARTS_MAX:  # before anything is made of them
        raise ConfigError(f"observation parts: {len(raw)}, expected at most {PARTS_MAX}")
    tuples: list[dict[str, Any]] = [
        {name: tuple(value) if isinstance(value, list) else value for name, value in each.items()} for each in raw
    ]
    return tuple(ObservationPart(**each) for each in tuples)
