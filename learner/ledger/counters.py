"""Counters of what became of every trajectory. They are totals, so that writing them twice changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

from ...common.deprecated import stored_counters

if TYPE_CHECKING:
    from collections.abc import Mapping

Rejection = Literal["stale", "too_old", "wrong_epoch", "off_run", "invalid", "duplicate", "non_finite", "poison"]
REJECTIONS: tuple[Rejection, ...] = get_args(Rejection)
NEVER_ARRIVED = ("overflow", "lost")
REJECTION_COUNTERS = (*REJECTIONS, *NEVER_ARRIVED)


@dataclass(frozen=True, slots=True)
class Counters:
    """The run's totals from its first version to one commit."""

    updates: int = 0
    short_batches: int = 0  # updates on less than was asked for, after waiting for the rest
    accepted: int = 0  # trajectories trained on
    imported: int = 0  # of these: not played by a version of this run
    steps: int = 0  # in accepted trajectories, trained on
    stale_steps: int = 0  # in accepted trajectories, and not trained on: played by too old a version
    games: int = 0  # that ended in accepted trajectories
    evaluation_entries: int = 0  # consumed, and neither trained on nor rejected: of games that evaluate a version
    evaluation_games: int = 0  # that ended in these
    stale: int = 0  # rejected: played with a version that is too old
    too_old: int = 0  # rejected: played too long ago
    wrong_epoch: int = 0  # rejected: played with a version of another lineage
    off_run: int = 0  # rejected: imported, and the learner was not told to accept imported trajectories
    invalid: int = 0  # rejected: does not decode to what the run's spec allows
    duplicate: int = 0  # rejected: consumed before
    non_finite: int = 0  # rejected: an update on them was not finite, and was undone
    poison: int = 0  # rejected: a learner died while it processed nothing else
    # Never arrived: games that actors say they gave up before their first step, as they were ahead of the learner.
    overflow: int = 0
    lost: int = 0  # never arrived: dropped by an actor, or lost on the way; seen as a gap in its numbers

    def add(self, **amounts: int) -> Counters:
        """A copy with some totals increased."""
        return replace(self, **{name: getattr(self, name) + amount for name, amount in amounts.items()})

    def rejected(self) -> dict[str, int]:
        """How many trajectories were not trained on, by reason; of `overflow`, how many games."""
        return {name: getattr(self, name) for name in REJECTION_COUNTERS}

    def to_fields(self) -> dict[str, int]:
        """The totals by name, as stored in the head's hash."""
        return asdict(self)

    @classmethod
    def from_fields(cls, raw: Mapping[str, int | str]) -> Counters:
        """The inverse; fields of other things are ignored, missing ones are 0."""
        raw = stored_counters(raw)
        return cls(**{field.name: int(raw.get(field.name, 0)) for field in fields(cls)})
