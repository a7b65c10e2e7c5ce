"""Finds the names of actors in the database, a part at a time, so that actors need no right to a key they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s
from ...common.server.keys import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.server.keys import Keys
    from ...common.server.streams import Server

_KEYS_A_CALL = 512  # looked at by the server in one command, some 0.1 ms
_SHARE = 0.02  # of the time since the last search
_FIRST_S = 0.02  # so long a search may take in any case: as many keys as a database of its own has


class NameScan:
    """Looks through all keys of the database for heartbeats and streams of one run, again and again."""

    def __init__(self, server: Server, keys: Keys, clock: Callable[[], float] = monotonic_s) -> None:
        self._server, self._clock = server, clock
        # One pattern for both kinds of key, as the server goes through all keys for each.
        self._pattern = f"{keys.pattern()[:-1]}[at]*"
        self._heartbeat, self._stream = keys.heartbeat("").encode(), keys.trajectories("").encode()
        self._cursor: bytes | int = 0
        self._allowed_s = 0.0  # less than nothing where the last search took longer than it might
        self._searched_s: float | None = None

    def search(self) -> tuple[list[str], list[str], bool]:
        """Go on with the search, for a small part of the time that has passed, or to the end of the database.

        Returns:
            Names of which a heartbeat was found, names of which a stream was found, and whether the search has come
            to the end, so that the next one begins anew.
        """
        heartbeats: list[str] = []
        streams: list[str] = []
        began_s = self._clock()
        passed_s = _FIRST_S / _SHARE if self._searched_s is None else began_s - self._searched_s
        self._searched_s = began_s
        self._allowed_s = min(self._allowed_s + _SHARE * passed_s, _FIRST_S)
        while self._allowed_s > 0:
            self._cursor, found = self._server.call("SCAN", self._cursor, "MATCH", self._pattern, "COUNT", _KEYS_A_CALL)
            heartbeats += _names(found, self._heartbeat)
            streams += _names(found, self._stream)
            now_s = self._clock()
            # A round trip over a slow link is no work. If all of it counted, the next search would be 10 seconds away.
            self._allowed_s = max(self._allowed_s - (now_s - began_s), -_FIRST_S)
            began_s = now_s
            if self._cursor == b"0":
                return heartbeats, streams, True
        return heartbeats, streams, False


def _names(keys: list[bytes], prefix: bytes) -> list[str]:
    """The names of actors in those keys that begin with a prefix."""
    names = [key[len(prefix) :].decode(errors="replace") for key in keys if key.startswith(prefix)]
    return [name for name in names if NAME.fullmatch(name)]
