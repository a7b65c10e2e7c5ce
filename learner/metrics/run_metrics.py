"""The run's metrics over recent games: returns, lengths, wins, staleness, and which entries were rejected."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.deprecated import stored_fields

if TYPE_CHECKING:
    from ...common.wire.entry_header import Header
    from .update_metrics import Metrics

GAMES = 100  # the mean return of a run is over its last hundred games, as is usual for Gymnasium's tasks
_ENTRIES = 256  # the staleness metrics are over this many accepted entries


class History:
    """The most recent games and accepted entries. Stored with the learner's state, so that a successor continues it."""

    def __init__(self) -> None:
        self._returns: deque[float] = deque(maxlen=GAMES)
        self._lengths: deque[int] = deque(maxlen=GAMES)
        self._wins: deque[bool] = deque(maxlen=GAMES)
        self._staleness: deque[int] = deque(maxlen=_ENTRIES)
        self._age_s: deque[float] = deque(maxlen=_ENTRIES)
        # Rejecting old data favours short games. These two counters show by how much.
        self._rejected_by_lag: Counter[int] = Counter()
        self._rejected_by_length: Counter[int] = Counter()

    def accept(self, header: Header, version: int, now_ms: int) -> None:
        """Add a trajectory that is trained on, and the games that ended in it.

        Imported games are ignored: the metrics are about games that the run's own versions played.

        Args:
            header: of the entry.
            version: the run's current version.
            now_ms: the server's time.
        """
        if header.imported:
            return
        self._returns.extend(header.episodes.returns)
        self._lengths.extend(header.episodes.lengths)
        self._wins.extend(header.episodes.wins or ())
        self._staleness.append(version - header.version)
        self._age_s.append((now_ms - header.created_ms) / 1000)

    def reject(self, header: Header, version: int) -> None:
        """Count an entry that was rejected for its age, by its lag (at most 64) and by its games' mean length.

        The length is rounded up to a power of two. `version` is the run's current version.
        """
        if header.imported:
            return
        self._rejected_by_lag[min(max(version - header.version, 0), 64)] += 1
        self._rejected_by_length[1 << (header.steps // max(header.games, 1)).bit_length()] += 1

    @property
    def mean_return(self) -> float | None:
        """The mean return of the last GAMES games; None before there were that many."""
        return float(np.mean(self._returns)) if len(self._returns) == GAMES else None

    def metrics(self) -> Metrics:
        """The metrics for which there is data."""
        result: Metrics = {}
        if self._returns:
            result["return_mean"] = float(np.mean(self._returns))
        if self._lengths:
            result["length_mean"] = float(np.mean(self._lengths))
        if self._wins:
            result["win_rate"] = float(np.mean(self._wins))
        for name, values in (("staleness", self._staleness), ("age_s", self._age_s)):
            if values:
                p50, p95, top = np.percentile(np.asarray(values), [50, 95, 100])
                result |= {f"{name}_p50": float(p50), f"{name}_p95": float(p95), f"{name}_max": float(top)}
        return result

    def rejections(self) -> dict[str, dict[int, int]]:
        """Counts of entries rejected for their age, by lag in versions and by upper bound of the length in steps."""
        return {"rejected_by_lag": dict(self._rejected_by_lag), "rejected_by_length": dict(self._rejected_by_length)}

    def state(self) -> dict[str, Any]:
        """The whole history, for `restore`."""
        return {
            "returns": list(self._returns),
            "lengths": list(self._lengths),
            "wins": list(self._wins),
            "staleness": list(self._staleness),
            "age_s": list(self._age_s),
            "rejected_by_lag": [list(item) for item in self._rejected_by_lag.items()],
            "rejected_by_length": [list(item) for item in self._rejected_by_length.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a result of `state`. Raises TypeError or KeyError if it is not one."""
        state = stored_fields(state)
        for name in ("returns", "lengths", "wins", "staleness", "age_s"):
            getattr(self, f"_{name}").extend(_number(value) for value in state[name])
        for name in ("rejected_by_lag", "rejected_by_length"):
            getattr(self, f"_{name}").update({_number(key): _number(count) for key, count in state[name]})


def _number(value: Any) -> Any:  # noqa: ANN401 - from a decoded list
    """The value, if it is a finite number. Raises TypeError."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40}, expected a finite number")
    return value
