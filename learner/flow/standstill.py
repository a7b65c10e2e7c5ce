"""Detects that nobody will send more: then a batch that is still incomplete must be trained on."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.server.streams import Script

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...common.server.keys import Keys
    from ...common.server.streams import Server

_LOOK = Script(files(__package__).joinpath("standstill.lua").read_text())


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
        if arrived or not all_taken:  # saves the server a look at each actor
            self._blocked_since = None
            return
        keys = [key for actor in actors for key in (self._keys.trajectories(actor), self._keys.heartbeat(actor))]
        wait, come = self._server.script(_LOOK, keys, int(self._lock_step))
        if come or not wait:
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = time.monotonic()
