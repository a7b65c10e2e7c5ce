"""The fields of the `stats` hash: counters, metrics and gauges of a run, for people and for monitoring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...common.process.clock import Every, now_ms
from ...common.process.throughput import Throughput
from ...common.server.server_clock import ServerClock
from ..metrics.run_metrics import FIGURES_OVER
from .best_version import EVALUATION_FIGURES_OVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.server.streams import Argument
    from ..algorithms.trainer import Trainer
    from ..config import LearnerConfig
    from ..ledger.counters import Counters
    from ..ledger.head import Head
    from ..metrics.run_metrics import History
    from ..metrics.update_metrics import Metrics
    from .best_version import BestVersion


_RATE_EVERY_S = 1.0  # between two writes of the rate without a commit


class RunStatistics:
    """Makes the fields of the `stats` hash from the learner's state."""

    def __init__(
        self, name: str, config: LearnerConfig, trainer: Trainer, history: History, clock: ServerClock | None = None
    ) -> None:
        self._name, self._config, self._trainer, self._history = name, config, trainer, history
        self._clock = clock or ServerClock()
        self._throughput = Throughput()
        self._rate, self._rate_due = 0, Every(_RATE_EVERY_S)  # as it was last written
        self._gauges_due = Every(config.intervals.gauges_s)
        self._steps_before = self._version_before = 0
        self._gauges: Metrics = {}  # of the history, as they were last written

    def resumed_at(self, steps: int, version: int) -> None:
        """Record how many steps earlier learners of the run have trained on, and to which version they came."""
        self._steps_before, self._version_before = steps, version

    def trained_to(self, steps: int) -> None:
        """Record the run's current total of trained steps."""
        self._throughput.add(steps)

    @property
    def solved(self) -> bool:
        """Whether the last hundred games, in the order in which they began, reached the return that was asked for."""
        goal, mean_return = self._config.goal.until_return, self._history.mean_return
        return goal is not None and mean_return is not None and mean_return >= goal

    def fields(
        self,
        head: Head,
        counters: Counters,
        metrics: Metrics,
        actors: int,
        gauges: Mapping[str, Argument] | None = None,
        best: BestVersion | None = None,
    ) -> dict[str, Argument]:
        """The fields to be written with a commit; gauges are among them only now and then.

        Args:
            head: the head after the commit.
            counters: the totals after the commit.
            metrics: of its update; empty if nothing was trained.
            actors: how many are being read.
            gauges: more of them; a name that begins with `warning_` is for a text that `broodmind status` shows.
            best: the evaluations by greedy games.
        """
        stats: dict[str, Argument] = {
            "run": self._name,
            "epoch": head.epoch,
            "version": head.version,
            "updated_ms": now_ms(),
            "accept_imported": int(self._config.intake.accept_imported),
            **self._before(),
            **counters.to_fields(),
            **printed(metrics),
        }
        if self._gauges_due.due():
            stats |= self.gauges(actors, gauges, best)
        if self.solved:
            stats["solved_ms"] = now_ms()
        return stats

    def resumed(self) -> dict[str, Argument]:
        """The fields that are another learner's until the first commit."""
        return {"updated_ms": now_ms(), **self._before(), "steps_per_second": 0}

    def fallen_rate(self) -> dict[str, Argument]:
        """The rate, where no update follows and it is no longer the one that was written; at most once a second."""
        if (
            self._throughput.late_s <= 0
            or not self._rate_due.due()
            or self._rate == round(self._throughput.per_second())
        ):
            return {}
        return self._current_rate()

    def gauges(
        self, actors: int, more: Mapping[str, Argument] | None = None, best: BestVersion | None = None
    ) -> dict[str, Argument]:
        """The gauges, all as of now; `more` of them, and the other arguments of `fields`."""
        self._gauges = self._history.metrics()
        return {
            **printed(self._gauges),
            **self._current_rate(),
            "figures_over": FIGURES_OVER,
            "clock_skew_ms": self._clock.skew_ms,
            "actors": actors,
            **(more or {}),
            **{name: json.dumps(value) for name, value in self._history.rejections().items()},
            **_of_games(self._history, best),
            **{name: str(value) for name, value in self._trainer.describe().items()},
        }

    def update(
        self, head: Head, counters: Counters, metrics: Metrics, counts: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """One update, for the run's record: JSON whose numbers have six significant digits.

        The means are of the games until this update; the percentiles, which take longer, are those of the gauges.

        Args:
            head: of the commit.
            counters: the totals after it.
            metrics: of the update.
            counts: more totals.
        """
        by_label = self._history.by_label()
        return {
            "version": head.version,
            "epoch": head.epoch,
            "steps": counters.steps,
            "games": counters.games,
            **(counts or {}),
            **{name: None if mean is None else rounded(mean) for name, mean in self._history.means().items()},
            **{name: value if isinstance(value, int) else rounded(value) for name, value in metrics.items()},
            **{name: value for name, value in self._gauges.items() if name.startswith("staleness_")},
            "steps_per_second": round(self._throughput.per_second()),
            "rejected": {name: count for name, count in counters.rejected().items() if count},
            "metrics": {name: rounded(mean) for name, mean in self._history.own_means().items()},
            **({"labels": by_label["labels"]} if by_label else {}),
        }

    def _before(self) -> dict[str, Argument]:
        """What earlier learners have left; version 0: there was none."""
        return {"resumed_steps": self._steps_before, "resumed_version": self._version_before}

    def _current_rate(self) -> dict[str, Argument]:
        self._rate = round(self._throughput.per_second())
        return {"steps_per_second": self._rate}


def _of_games(history: History, best: BestVersion | None) -> dict[str, Argument]:
    """Figures by label, and of greedy games."""
    found: dict[str, Argument] = {}
    if by_label := history.by_label():
        found = {**by_label, "labels": json.dumps(by_label["labels"])}
    if best is not None and (shown := best.metrics()):
        summary = {name: json.dumps(value) for name, value in best.summary().items() if value is not None}
        found |= {**shown, **summary, "eval_figures_over": EVALUATION_FIGURES_OVER}
    return found


def printed(metrics: Metrics) -> dict[str, Argument]:
    """Metrics as text with six significant digits, as they are written to Redis."""
    return {name: f"{value:.6g}" for name, value in metrics.items()}


def rounded(value: float) -> float:
    """A number with six significant digits."""
    return float(f"{value:.6g}")
