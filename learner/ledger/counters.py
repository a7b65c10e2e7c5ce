"""What became of every trajectory: absolute numbers, so that nothing can be counted twice by being said twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Rejection = Literal["stale", "too_old", "wrong_epoch", "foreign", "invalid", "duplicate", "non_finite", "poison"]
REJECTIONS: tuple[Rejection, ...] = get_args(Rejection)


@dataclass(frozen=True, slots=True)
class Counters:
    """The run's totals since its first version, as of one commit."""

    updates: int = 0
    accepted: int = 0  # trajectories trained on
    declared: int = 0  # of these: played by no version of this run
    steps: int = 0  # in accepted trajectories
    games: int = 0  # that ended in accepted trajectories
    stale: int = 0  # refused: played by too old a version
    too_old: int = 0  # refused: too long ago
    wrong_epoch: int = 0  # refused: of a lineage that was lost
    foreign: int = 0  # refused: played by no version of this run, and the learner was not told to take such
    invalid: int = 0  # refused: does not decode to what the run's spec allows
    duplicate: int = 0  # refused: consumed before
    non_finite: int = 0  # refused: an update on them was not finite, and was undone
    poison: int = 0  # refused: a learner died with it alone in hand
    overflow: int = 0  # never arrived: the actor dropped it for want of room; seen as a gap in its sequence

    def add(self, **amounts: int) -> Counters:
        """The totals with some of them increased."""
        return replace(self, **{name: getattr(self, name) + amount for name, amount in amounts.items()})

    def refused(self) -> dict[str, int]:
        """Dropped trajectories by reason."""
        return {name: getattr(self, name) for name in (*REJECTIONS, "overflow")}

    def to_fields(self) -> dict[str, int]:
        """As stored in the head."""
        return asdict(self)

    @classmethod
    def from_fields(cls, raw: Mapping[str, int | str]) -> Counters:
        """The inverse; fields of other things are ignored, missing ones are 0."""
        return cls(**{field.name: int(raw.get(field.name, 0)) for field in fields(cls)})
