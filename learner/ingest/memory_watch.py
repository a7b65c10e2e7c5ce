"""Whether the server is almost at its memory limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...common.process.clock import Every

if TYPE_CHECKING:
    from ...common.server.streams import Server

ALMOST_FULL = 0.9  # of maxmemory
_LOOK_EVERY_S = 1.0
_FIELDS = {name: re.compile(rb"^%b:(\d+)" % name, re.MULTILINE) for name in (b"used_memory", b"maxmemory")}


class MemoryWatch:
    """Asks the server at most once a second. For one thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._due = Every(_LOOK_EVERY_S)
        self._almost_full = False

    @property
    def almost_full(self) -> bool:
        """Whether nine tenths of the memory are used, of a server that has a limit."""
        if self._due.due():
            found = self._server.call("INFO", "memory")
            used, most = (int(match[1]) if (match := each.search(found)) else 0 for each in _FIELDS.values())
            self._almost_full = 0 < ALMOST_FULL * most < used
        return self._almost_full
