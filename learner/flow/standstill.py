"""Detects that nobody will send more: then a batch that is still incomplete must be trained on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...common.server.keys import Keys
    from ...common.server.streams import Server


class StandstillWatch:
    """Watches whether actors are left that may send more before the next version.

    In lock step these are the actors that play in lock step and have sent nothing yet. Others, such as clients, whose
    games cannot wait, are not waited for. Without lock step they are all that live.

    `blocked_s` may be read by any thread; everything else is for the reading thread.
    """

    def __init__(self, server: Server, keys: Keys, *, lock_step: bool) -> None:
        self._server, self._keys, self._lock_step = server, keys, lock_step
        self._arrived = False  # anything, since the last look
        self._blocked_since: float | None = None

    @property
    def blocked_s(self) -> float:
        """For how long nobody has been left, with entries that wait for the batch's end; 0 if somebody is."""
        since = self._blocked_since
        return 0.0 if since is None else time.monotonic() - since

    def entry_arrives(self) -> None:
        """Reset the time. Call this before the entry can be taken, so that the taking thread sees no old time."""
        self._arrived = True
        self._blocked_since = None

    def look(self, actors: Collection[str], *, all_taken: bool) -> None:
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
        asked = [("HMGET", self._keys.heartbeat(actor), "state", "lock_step") for actor in actors]
        beats = self._server.pipeline(asked)
        if not any(backlogs) or any(self._may_send(n, *beat) for n, beat in zip(backlogs, beats, strict=True)):
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = time.monotonic()

    def _may_send(self, backlog: int, state: bytes | None, lock_step: bytes | None) -> bool:
        """Whether an actor may send more, by the length of its stream and by its heartbeat."""
        return (not backlog and lock_step == b"1") if self._lock_step else state is not None
