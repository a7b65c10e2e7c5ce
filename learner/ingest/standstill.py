"""Detects that every live actor waits at high water, so that an incomplete batch must be trained on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ...common.spec import RolloutSpec


class StandstillWatch:
    """Watches whether every live actor has reached its high-water mark, and so waits for the learner.

    `blocked_s` may be read by any thread; everything else is for the reading thread.
    """

    def __init__(self, server: Server, keys: Keys, rollout: RolloutSpec) -> None:
        self._server, self._keys = server, keys
        self._usual_mark = rollout.full_at
        self._arrived = False  # an entry, since the last look
        self._blocked_since: float | None = None

    @property
    def blocked_s(self) -> float:
        """For how long every live actor has been at high water with nothing left to read; 0 if they are not."""
        since = self._blocked_since
        return 0.0 if since is None else time.monotonic() - since

    def entry_arrives(self) -> None:
        """Reset the time. Call this before the entry can be taken, so that the taking thread sees no old time."""
        self._arrived = True
        self._blocked_since = None

    def look(self, actors: Sequence[str], *, all_taken: bool) -> None:
        """Ask the server, unless entries have arrived since the last look or wait to be taken.

        Args:
            actors: those whose streams are read.
            all_taken: whether every entry that was read has been taken.
        """
        arrived, self._arrived = self._arrived, False
        if arrived or not all_taken:  # saves two commands for each actor
            self._blocked_since = None
            return
        backlogs = self._server.pipeline([("XLEN", self._keys.trajectories(actor)) for actor in actors])
        asked = [("HMGET", self._keys.heartbeat(actor), "state", "high_water") for actor in actors]
        marks = [_high_water(raw, self._usual_mark) if alive else 0 for alive, raw in self._server.pipeline(asked)]
        if not any(backlogs) or any(n < high_water for n, high_water in zip(backlogs, marks, strict=True)):
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = time.monotonic()


def _high_water(raw: bytes | None, usual: int) -> int:
    """The high-water mark that an actor gives in its heartbeat."""
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 10 else usual
