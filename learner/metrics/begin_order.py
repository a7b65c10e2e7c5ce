"""Puts the games that arrived into the order in which they began, so that figures do not count the short ones first.

Of the games that began at one time the short ones end, and arrive, first. So a game waits here while one that began
before it may still be in play.
"""

from __future__ import annotations

import math
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from ...common.own_metrics import NO_METRICS, metrics_of
from ...common.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from ...common.labels import Labels
    from ...common.own_metrics import OwnMetrics
    from ...common.wire.entry_header import Header

UNKNOWN = -1.0  # whether a game was won, where the run's game reports no wins
WAITING_MAX = 4096  # games; with more, those that began first no longer wait
HOLD_MAX_MS = 600_000  # nobody waits for a game that has been in play for longer: it may hang, or never end
# The columns of a table of games. WON is 0, 1, or UNKNOWN; METRICS is the key of the game's own metrics, or 0; LABELS
# is a code; VERSION is that of its entry, the oldest of several; EPOCH is of the version that it evaluates, or 0.
BEGAN, RETURN, LENGTH, WON, METRICS, LABELS, VERSION, EPOCH = range(8)
_COLUMNS = 8


class BeginOrder:
    """The games that wait, and when each actor's earliest begun game in play began."""

    def __init__(self) -> None:
        self._waiting = np.empty((0, _COLUMNS))
        self._metrics: dict[int, OwnMetrics] = {}  # of games that wait, by their key
        self._key = 0  # the last one given
        self._open_since_ms: dict[str, int] = {}  # only actors that have a game in play

    @property
    def waiting(self) -> int:
        """How many games wait."""
        return len(self._waiting)

    def take(
        self,
        arrived: Sequence[tuple[str, Header]],
        reading: Collection[str],
        now_ms: int,
        code: Callable[[Labels], int] = lambda _: 0,
    ) -> NDArray[np.float64]:
        """Take in the games of entries, and return those that wait for none any more.

        Args:
            arrived: actor and header of each entry, each actor's in the order of their ids.
            reading: the actors that are being read: nobody waits for the games of others.
            now_ms: the server's time.
            code: the number that stands for a game's labels.

        Returns:
            Games [N, 8], in the order in which they began; of those of one millisecond, in the order of arrival.
            `pop_metrics` has their own metrics.
        """
        for actor, header in arrived:
            if header.open_since_ms is None:
                self._open_since_ms.pop(actor, None)
            else:
                self._open_since_ms[actor] = header.open_since_ms
        ended = self._table([header for _, header in arrived if header.games], code)
        if len(ended):
            ended[:, BEGAN] = np.minimum(ended[:, BEGAN], now_ms)  # none of the future, which would wait for ever
            games = np.concatenate([self._waiting, ended])
            self._waiting = games[np.argsort(games[:, BEGAN], kind="stable")]
        if not len(self._waiting):
            return self._waiting
        ready = int(np.searchsorted(self._waiting[:, BEGAN], self._complete_before_ms(reading, now_ms)))
        ready = max(ready, len(self._waiting) - WAITING_MAX)
        released, self._waiting = self._waiting[:ready], self._waiting[ready:]
        return released

    def _complete_before_ms(self, reading: Collection[str], now_ms: int) -> float:
        """All games that began before this time have arrived, as far as anybody waits for them."""
        if not self._open_since_ms:
            return math.inf
        there = frozenset(reading)
        self._open_since_ms = {actor: since for actor, since in self._open_since_ms.items() if actor in there}
        return max(min(self._open_since_ms.values(), default=math.inf), now_ms - HOLD_MAX_MS)

    def state(self) -> dict[str, object]:
        """For `restore`."""
        metrics = [[key, dict(each)] for key, each in self._metrics.items()]
        return {"waiting": self._waiting, "open_since_ms": self._open_since_ms, "metrics": metrics}

    def restore(self, state: Mapping[str, object]) -> None:
        """Continue from a decoded result of `state`. Raises WireError or TypeError if it is not one."""
        waiting = codec.take_array(state, "waiting", ("<f8",), (None, None))
        if not WON < waiting.shape[1] <= _COLUMNS:
            raise TypeError(f"waiting: {waiting.shape[1]} columns, expected {_COLUMNS}")
        # A state of before there were metrics, labels and evaluations has fewer columns.
        self._waiting = np.pad(waiting, ((0, 0), (0, _COLUMNS - waiting.shape[1])))
        open_since_ms = state["open_since_ms"]
        if not isinstance(open_since_ms, dict) or not all(type(since) is int for since in open_since_ms.values()):
            raise TypeError("open_since_ms: expected integers by actor")
        self._open_since_ms = dict(open_since_ms)
        # As an entry has them: names and finite numbers.
        found = {index(key): metrics_of(each) for key, each in state.get("metrics", [])}  # type: ignore[attr-defined]
        self._metrics, self._key = found, max(found, default=0)

    def pop_metrics(self, games: NDArray[np.float64]) -> list[OwnMetrics]:
        """The own metrics of games that `take` returned, one item a game; empty where none of them has any."""
        if not self._metrics:
            return []
        return [self._metrics.pop(key, NO_METRICS) for key in games[:, METRICS].astype(np.int64).tolist()]

    def _table(self, headers: Sequence[Header], code: Callable[[Labels], int]) -> NDArray[np.float64]:
        """The games that ended in entries with these headers, [N, 8]."""
        columns: tuple[list[float], ...] = tuple([] for _ in range(_COLUMNS))
        for header in headers:
            episodes, games = header.episodes, header.games
            columns[BEGAN].extend(episodes.began_ms)
            columns[RETURN].extend(episodes.returns)
            columns[LENGTH].extend(episodes.lengths)
            columns[WON].extend(episodes.wins if episodes.wins is not None else [UNKNOWN] * games)
            evaluated, none = header.evaluation, [0.0] * games
            columns[METRICS].extend(map(self._keep, episodes.metrics) if episodes.metrics and not evaluated else none)
            columns[LABELS].extend(map(code, episodes.labels) if episodes.labels and not evaluated else none)
            columns[VERSION].extend([header.version] * games)
            columns[EPOCH].extend([header.epoch] * games if evaluated else none)
        return np.array(columns, np.float64).T

    def _keep(self, metrics: OwnMetrics) -> int:
        if not metrics:
            return 0
        self._key += 1
        self._metrics[self._key] = metrics
        return self._key
