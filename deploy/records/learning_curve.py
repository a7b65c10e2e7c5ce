"""The learning curve: points collected during a run, and a plot of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..observe.run_view import RunView


@dataclass(frozen=True, slots=True)
class Point:
    """The statistics of a run at one moment."""

    seconds: float
    steps: int
    return_mean: float
    win_rate: float | None
    staleness: float


class Curve:
    """The points of a run, one for each change of its step count."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def add(self, view: RunView, seconds: float) -> None:
        """Add a point with the run's current statistics, if its step count has changed."""
        stats = view.stats
        if "return_mean" not in stats or (self.points and self.points[-1].steps == int(stats["steps"])):
            return
        win_rate = float(stats["win_rate"]) if "win_rate" in stats else None
        staleness = float(stats.get("staleness_p95", 0))
        self.points.append(Point(seconds, int(stats["steps"]), float(stats["return_mean"]), win_rate, staleness))

    def draw(self, path: Path, title: str) -> None:
        """Write a picture of return, wins and staleness against trained steps."""
        import matplotlib as mpl

        mpl.use("agg")
        from matplotlib import pyplot as plt

        steps = [point.steps for point in self.points]
        figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, height_ratios=(3, 1))
        top.plot(
            steps, [point.return_mean for point in self.points], color="tab:blue", label="mean return, last 100 games"
        )
        top.set_title(title)
        top.set_ylabel("return")
        top.grid(alpha=0.3)
        if any(point.win_rate is not None for point in self.points):
            wins = top.twinx()
            wins.plot(steps, [point.win_rate for point in self.points], color="tab:green", label="wins")
            wins.set_ylim(0, 1)
            wins.set_ylabel("win rate")
            wins.legend(loc="lower right")
        top.legend(loc="upper left")
        bottom.plot(steps, [point.staleness for point in self.points], color="tab:orange")
        bottom.set_ylabel("staleness p95\n(versions)")
        bottom.set_xlabel("trained steps")
        bottom.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(path, dpi=120)
        plt.close(figure)
