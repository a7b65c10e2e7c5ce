"""Benchmark results as JSON: one object a line on standard output, which bench.py collects."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One measured quantity.

    Args:
        name: what was measured; the same in each run.
        values: one value for each round, seed or pair; the result is their median.
        unit: the unit of the values; "x" for a ratio.
        target: the target value, if there is one.
        at_most: whether the target is an upper bound.
        detail: further information, by name.
    """

    name: str
    values: list[float]
    unit: str
    target: float | None = None
    at_most: bool = False
    detail: dict[str, object] | None = None

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; None if there is none."""
        if self.target is None:
            return None
        return self.median <= self.target if self.at_most else self.median >= self.target

    def emit(self) -> None:
        """Print it as one line of JSON."""
        print(json.dumps({**asdict(self), "median": self.median, "reached": self.reached}), flush=True)


def parse_result(line: str) -> Result | None:
    """The result that `emit` printed as this line; None for any other line."""
    if not line.startswith("{"):
        return None
    raw = json.loads(line)
    return Result(**{name: raw[name] for name in Result.__slots__})
