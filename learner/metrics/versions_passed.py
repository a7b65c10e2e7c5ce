"""How many versions pass while a game is played, and the limit of staleness that follows from it."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...common.wire.entry_header import Header

LIMIT_LEAST, LIMIT_MOST = 4, 64  # versions: the bounds of the automatic limit
_ENTRIES = 256  # the limit follows from this many of the last entries
_VERSIONS = 1024  # whose time of publication is remembered
_SHARE = 95  # percent of the entries that are within the limit if they are consumed as soon as they arrive


class VersionsPassed:
    """Of the last entries that arrived: how many versions passed from their first step to when they were sent."""

    def __init__(self) -> None:
        self._passed: deque[int] = deque(maxlen=_ENTRIES)
        self._published: deque[tuple[int, int]] = deque(maxlen=_VERSIONS)  # server's time, version

    def published(self, version: int, now_ms: int) -> None:
        """Note that a version is published now. A lower one than before begins a new epoch."""
        if self._published and version <= self._published[-1][1]:
            self._published.clear()
        self._published.append((now_ms, version))

    def arrive(self, headers: Iterable[Header]) -> None:
        """Note entries of the current epoch, whether they are trained on or not."""
        published = list(self._published)
        for header in headers:
            at = bisect_right(published, header.created_ms, key=lambda each: each[0]) - 1
            if at >= 0:  # else it was sent before the first version whose time is known
                self._passed.append(max(published[at][1] - header.version, 0))

    @property
    def limit(self) -> int:
        """The largest staleness with which steps are trained on, where the user has set none.

        LIMIT_LEAST versions, for the wait in the stream, more than passed during 95 % of the last entries; at most
        LIMIT_MOST. So honest games are trained on to their first step, however long they are.
        """
        if not self._passed:
            return LIMIT_LEAST
        ordered = sorted(self._passed)
        return min(LIMIT_LEAST + ordered[(len(ordered) - 1) * _SHARE // 100], LIMIT_MOST)

    def state(self) -> list[int]:
        """For `restore`."""
        return list(self._passed)

    def restore(self, state: Sequence[int]) -> None:
        """Continue from a result of `state`."""
        self._passed.extend(state)
