"""Figures as JSON: one object a line on standard output, so that one run of everything can collect them."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure.

    Args:
        name: what was measured, the same each time.
        values: one of each round, seed or pair measured in turn; the figure is their median.
        unit: of the values, "x" for a ratio.
        target: what was to be reached, if anything.
        at_most: whether the target is an upper bound.
        detail: whatever else a reader needs, by name.
    """

    name: str
    values: list[float]
    unit: str
    target: float | None = None
    at_most: bool = False
    detail: dict[str, object] | None = None

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median is on the right side of the target."""
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target

    def emit(self) -> None:
        """Print it."""
        print(json.dumps({**asdict(self), "median": self.median, "reached": self.reached}), flush=True)


def parse_result(line: str) -> Result | None:
    """What `emit` printed, or None for any other line."""
    if not line.startswith("{"):
        return None
    raw = json.loads(line)
    return Result(**{name: raw[name] for name in Result.__slots__})
