"""Keeps the lease, in a thread and on a connection of its own: no reply that takes long to arrive can cost it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError

if TYPE_CHECKING:
    from ...common.server.streams import Server
    from .lease import Lease

_RENEWALS = 3  # in a lease's time to live
_JOIN_TIMEOUT_S = 10.0  # above the connection's timeout: the thread is never in one call for longer


class LeaseKeeper:
    """Renews a lease from `start` to `close`. `check` raises what ended it before, such as the loss of the lease."""

    def __init__(self, server: Server, lease: Lease) -> None:
        """Args: server: a connection that nothing else uses."""
        self._server, self._lease = server, lease
        self._closing = threading.Event()
        self._error: BroodmindError | None = None
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the renewals, if anything did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop renewing; the lease is left as it is."""
        self._closing.set()
        if self._thread.ident is not None:  # it may not have been started yet
            self._thread.join(timeout=_JOIN_TIMEOUT_S)
        self._server.close()

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._lease.ttl_ms / 1000 / _RENEWALS):
                self._lease.renew(self._server)
        except BroodmindError as error:
            self._error = error
