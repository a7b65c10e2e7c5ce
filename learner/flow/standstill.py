"""Detects that in lock step every actor has delivered, so that a batch that is still incomplete must be trained on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Server


class StandstillWatch:
    """Watches whether every actor that plays in lock step has delivered: then they all wait for the next version.

    Others, such as clients, whose games cannot wait, are not waited for.

    `blocked_s` may be read by any thread; everything else is for the reading thread.
    """

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server, self._keys = server, keys
        self._arrived = False  # anything, since the last look
        self._blocked_since: float | None = None

    @property
    def blocked_s(self) -> float:
        """For how long they all have had an entry in their streams, with nothing left to read; 0 if they have not."""
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
        waiting = self._server.pipeline([("HGET", self._keys.heartbeat(actor), "lock_step") for actor in actors])
        if not any(backlogs) or any(not n and flag == b"1" for n, flag in zip(backlogs, waiting, strict=True)):
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = time.monotonic()
