"""The run's metrics over recent games: returns, lengths, wins, staleness, and which entries were rejected."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.deprecated import stored_fields
from ...common.own_metrics import STATISTIC
from .begin_order import EPOCH, LABELS, LENGTH, RETURN, UNKNOWN, VERSION, WON, BeginOrder
from .label_figures import LABEL_FIGURES_OVER, LabelFigures
from .own_metrics import OwnMetricsHistory
from .stored_numbers import finite
from .versions_passed import VersionsPassed
from .weighted_percentiles import weighted_percentiles

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...common.wire.entry_header import Header
    from .update_metrics import Metrics

GAMES = 100  # the mean return of a run is over its last hundred games, as is usual for Gymnasium's tasks
# What the figures of games are over, for people who read them.
FIGURES_OVER = (
    f"the last {GAMES} of all games that arrived, trained on or not, in the order in which they began; imported games "
    "those that evaluate a version and those that an actor gave up are not among them"
)
_ENTRIES = 256  # the staleness metrics are over the steps of this many accepted entries


class History:
    """The most recent games and accepted entries. Stored with the learner's state, so that a successor continues it."""

    def __init__(self) -> None:
        self.versions_passed = VersionsPassed()
        self._order, self._labels = BeginOrder(), LabelFigures()
        self._games = 0  # that arrived
        self.added: list[tuple[int, float]] = []  # of the last `arrive`: version and return of each game in the figures
        self._returns: deque[float] = deque(maxlen=GAMES)
        self._lengths: deque[int] = deque(maxlen=GAMES)
        self._wins: deque[bool] = deque(maxlen=GAMES)
        self._own = OwnMetricsHistory(GAMES)
        self._staleness: deque[int] = deque(maxlen=_ENTRIES)
        self._staleness_steps: deque[int] = deque(maxlen=_ENTRIES)  # how many steps had each
        self._age_s: deque[float] = deque(maxlen=_ENTRIES)
        # Rejecting old data favours short games. These two counters show by how much.
        self._rejected_by_lag: Counter[int] = Counter()
        self._rejected_by_length: Counter[int] = Counter()

    def arrive(
        self, arrived: Sequence[tuple[str, Header]], reading: Collection[str], now_ms: int
    ) -> list[tuple[int, int, float, float | None]]:
        """Add the games of entries that arrived, whether they are trained on or not.

        A game counts in the figures once every game that began before it is over, or nobody waits for it any more.

        Args:
            arrived: actor and header of each entry, each actor's in the order of their ids; no imported ones.
            reading: the actors that are being read.
            now_ms: the server's time.

        Returns:
            Of the games that evaluate a version and wait for none any more: epoch, version, return, and 1 or 0 if it is
            known whether they were won. They are in no figure of this history.
        """
        self._games += sum(header.games for _, header in arrived if not header.evaluation)
        released = self._order.take(arrived, reading, now_ms, self._labels.code)
        evaluations: list[tuple[int, int, float, float | None]] = []
        if len(released) and released[:, EPOCH].any():
            evaluations = [
                (int(game[EPOCH]), int(game[VERSION]), game[RETURN], _known(game[WON]))
                for game in released[released[:, EPOCH] > 0].tolist()
            ]
            released = released[released[:, EPOCH] == 0]
        if len(released) and released[:, LABELS].any():
            for game in released.tolist():
                self._labels.add(int(game[LABELS]), game[RETURN], _known(game[WON]))
        self.added = list(zip(released[:, VERSION].astype(int).tolist(), released[:, RETURN].tolist(), strict=True))
        self._own.add(self._order.pop_metrics(released)[-GAMES:], min(len(released), GAMES))
        games = released[-GAMES:]
        self._returns.extend(games[:, RETURN].tolist())
        self._lengths.extend(map(int, games[:, LENGTH].tolist()))
        self._wins.extend(won == 1 for won in games[:, WON].tolist() if won != UNKNOWN)
        return evaluations

    def accept(self, header: Header, staleness: Sequence[tuple[int, int]], now_ms: int) -> None:
        """Add an entry that is trained on; imported ones have neither staleness nor age, and are ignored.

        Args:
            header: of the entry.
            staleness: pairs of a staleness in versions and the number of steps that have it.
            now_ms: the server's time.
        """
        if header.imported:
            return
        for versions, steps in staleness:
            self._staleness.append(versions)
            self._staleness_steps.append(steps)
        self._age_s.append((now_ms - header.created_ms) / 1000)

    def reject(self, header: Header, version: int) -> None:
        """Count an entry that was rejected for its age, by its lag (at most 64) and by its games' mean length.

        The length is rounded up to a power of two. `version` is the run's current version.
        """
        if header.imported:
            return
        self._rejected_by_lag[min(max(version - header.versions[1], 0), 64)] += 1
        self._rejected_by_length[1 << (header.steps // max(header.games, 1)).bit_length()] += 1

    @property
    def mean_return(self) -> float | None:
        """The mean return of the last GAMES games; None before there were that many."""
        return float(np.mean(self._returns)) if len(self._returns) == GAMES else None

    def means(self) -> dict[str, float | None]:
        """The means of the last GAMES games, in a few microseconds; None where there is no such game."""
        return {"return_mean": _mean(self._returns), "length_mean": _mean(self._lengths), "win_rate": _mean(self._wins)}

    def own_means(self) -> dict[str, float]:
        """The means of the games' own metrics over the same games, by name."""
        return self._own.means()

    def metrics(self) -> Metrics:
        """The metrics for which there is data."""
        result: Metrics = {"figure_games": self._games, "figure_games_waiting": self._order.waiting}
        if self._returns:
            result["return_mean"] = float(np.mean(self._returns))
        if self._lengths:
            result["length_mean"] = float(np.mean(self._lengths))
        if self._wins:
            result["win_rate"] = float(np.mean(self._wins))
        if self._staleness:
            percentiles = weighted_percentiles(list(self._staleness), list(self._staleness_steps))
            result |= {f"staleness_{name}": value for name, value in percentiles.items()}
        if self._age_s:
            p50, p95, top = np.percentile(np.asarray(self._age_s), [50, 95, 100])
            result |= {"age_s_p50": float(p50), "age_s_p95": float(p95), "age_s_max": float(top)}
        result |= {f"{STATISTIC}{name}": mean for name, mean in self._own.means().items()}
        if self._own.ignored:
            result["own_metrics_ignored"] = self._own.ignored
        return result

    def rejections(self) -> dict[str, dict[int, int]]:
        """Counts of entries rejected for their age, by lag in versions and by upper bound of the length in steps."""
        return {"rejected_by_lag": dict(self._rejected_by_lag), "rejected_by_length": dict(self._rejected_by_length)}

    def by_label(self) -> dict[str, Any]:
        """Figures by label and value, and what they are over; empty where no game had a label."""
        found = self._labels.metrics()
        return {"labels": found, "label_figures_over": LABEL_FIGURES_OVER} if found else {}

    def state(self) -> dict[str, Any]:
        """The whole history, for `restore`."""
        return {
            "returns": list(self._returns),
            "lengths": list(self._lengths),
            "wins": list(self._wins),
            "staleness": list(self._staleness),
            "staleness_steps": list(self._staleness_steps),
            "age_s": list(self._age_s),
            "rejected_by_lag": [list(item) for item in self._rejected_by_lag.items()],
            "rejected_by_length": [list(item) for item in self._rejected_by_length.items()],
            "games": self._games,
            "begin_order": self._order.state(),
            "labels": self._labels.state(),
            "versions_passed": self.versions_passed.state(),
            "own_metrics": self._own.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a decoded result of `state`. Raises TypeError, KeyError or WireError if it is not one."""
        state = stored_fields(state)
        for name in ("returns", "lengths", "wins", "staleness", "age_s"):
            getattr(self, f"_{name}").extend(finite(value) for value in state[name])
        for name in ("rejected_by_lag", "rejected_by_length"):
            getattr(self, f"_{name}").update({finite(key): finite(count) for key, count in state[name]})
        if "begin_order" not in state:  # stored by a version before 0.2
            self._staleness_steps.extend(1 for _ in self._staleness)
            return
        self._staleness_steps.extend(finite(value) for value in state["staleness_steps"])
        if len(self._staleness_steps) != len(self._staleness) or min(self._staleness_steps, default=1) < 1:
            raise TypeError("staleness_steps: expected a number of at least 1 for each staleness")
        self._games = finite(state["games"])
        self._order.restore(state["begin_order"])
        if "own_metrics" in state:  # not in a state of before there were any
            self._own.restore(state["own_metrics"])
        self._labels.restore(state.get("labels", {}))
        self.versions_passed.restore([finite(value) for value in state["versions_passed"]])


def _mean(values: Collection[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _known(won: float) -> float | None:
    return None if won == UNKNOWN else won
