"""The columns of a payload: names, dtypes and shapes. The one list that the encoder and both decoders follow."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..spec import RunSpec

# What a column has one item of: a step [T, B, ...], an observation [T + 1, B, ...] (the last is the final one), or a
# column of play [B, ...], as a recurrent network's state at its first step.
Axes = Literal["steps", "observations", "columns"]


@dataclass(frozen=True, slots=True)
class Column:
    """One array of a payload."""

    name: str
    dtype: str  # as in `codec.DTYPES`
    axes: Axes
    item: tuple[int, ...] = ()  # the shape of one item
    optional: bool = False  # sent only where the trajectory has it

    def shape(self, steps: int, columns: int) -> tuple[int, ...]:
        """The shape in a trajectory of T steps and B columns."""
        match self.axes:
            case "steps":
                return (steps, columns, *self.item)
            case "observations":
                return (steps + 1, columns, *self.item)
        return (columns, *self.item)


@functools.lru_cache(maxsize=64)
def columns_of(spec: RunSpec) -> tuple[Column, ...]:
    """The columns of a run's payloads, in the order in which they are encoded."""
    game, actions = spec.game, spec.game.actions
    return (
        Column("observations", _observation_dtype(spec), "observations", game.observation_shape),
        Column("actions", actions.dtype, "steps", actions.shape),
        Column("log_probs", "<f4", "steps"),
        Column("rewards", "<f4", "steps"),
        Column("terminated", "?", "steps"),
        Column("truncated", "?", "steps"),
        Column("valid", "?", "steps"),
        *((Column("masks", "?", "steps", (sum(actions.sizes),)),) if game.masked else ()),
        # Of each step, the version that played it, counted from the lowest one.
        Column("version_offsets", "<i4", "steps", optional=True),
    )


def _observation_dtype(spec: RunSpec) -> str:
    if spec.game.observation_dtype == "uint8":
        return "|u1"
    return "<f2" if spec.rollout.float16 else "<f4"
