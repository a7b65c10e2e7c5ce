"""The commit thread: sends commits one at a time, so that the next update need not wait for the last commit."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError, RedisUnreachable
from ...common.process.clock import monotonic_s
from .commit import send

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..persistence.last_known_state import LastKnownState
    from ..persistence.run_snapshot import RunSnapshot
    from .commit import Commit
    from .lease import Lease


class CommitThread:
    """Sends commits, and records in `LastKnownState` which were sent and which have succeeded."""

    def __init__(self, server: Server, keys: Keys, lease: Lease, last_known: LastKnownState) -> None:
        self._keys, self._lease = keys, lease
        self.server = server  # used by this thread only
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._under_way: Future[None] | None = None
        self._last_known = last_known
        self.took_ms: float | None = None  # the time of the last commit, from staging to the script's reply

    def submit(self, commit: Commit, snapshot: RunSnapshot, then: Callable[[], None] | None = None) -> None:
        """Send a commit, after the previous one has succeeded. If the previous one failed, its error is raised.

        Args:
            commit: the commit to send.
            snapshot: the run's state after the commit.
            then: called in the commit thread after the commit has succeeded.
        """
        self.settle()
        self._last_known.sent = snapshot
        self._under_way = self._thread.submit(self._send, commit, then)

    def settle(self) -> None:
        """Wait for the commit under way, if there is one. If it failed, its error is raised."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            try:
                under_way.result()
            except BroodmindError as error:
                if not isinstance(error, RedisUnreachable):  # the server refused it: it is certainly not committed
                    self._last_known.sent = self._last_known.settled
                raise
            self._last_known.settled = self._last_known.sent

    @property
    def busy(self) -> bool:
        """Whether a commit was submitted and not yet settled."""
        return self._under_way is not None

    def look(self) -> None:
        """Settle the commit under way if it has ended. Does not wait."""
        if self._under_way is not None and self._under_way.done():
            self.settle()

    def close(self) -> None:
        """Wait for the thread, at most for the connection's timeout, and record whether its commit has succeeded."""
        self._thread.shutdown(cancel_futures=True)
        if self._under_way is not None and not self._under_way.cancelled() and self._under_way.exception() is None:
            self.settle()
        self.server.close()

    def _send(self, commit: Commit, then: Callable[[], None] | None) -> None:
        began_s = monotonic_s()
        send(self.server, self._keys, self._lease, commit)
        self.took_ms = 1000 * (monotonic_s() - began_s)
        if then is not None:
            then()
