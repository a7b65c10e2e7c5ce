"""Fenced reads of the actors' streams: only the learner that holds the lease can read.

Otherwise a learner that lost the lease could move entries into the pending list after its successor has read that list.

A read is a MULTI/EXEC transaction that watches the fence. A learner that takes the lease changes the fence, and Redis
then drops the transactions of all others. Each read also sends the check of the lease for the next read. A script
would need only one command, but the server copies each payload on its way through Lua, which takes longer than
everything else. The script is used at the server's memory limit, where Redis 7.0 refuses to queue a transaction.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError
from ...common.server.keys import CONSUMER, GROUP
from ...common.server.streams import Script, ServerFull
from ..commit.lease import fenced, lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.server.keys import Keys
    from ...common.server.streams import Argument, Reply, Server
    from ..commit.lease import Lease

_READ = Script(files(__package__).joinpath("read.lua").read_text())


class FencedReads:
    """Reads in two steps: `ask` sends the command, `take` receives the reply. One read at a time, for one thread."""

    def __init__(self, server: Server, keys: Keys, lease: Lease) -> None:
        self._server, self._keys, self._lease = server, keys, lease
        self._keep = ("PEXPIRE", keys.lease, lease.ttl_ms)
        self._look = [("WATCH", keys.fence), ("GET", keys.lease)]  # WATCH first: no change goes unseen
        self._watching = False
        self._after: Mapping[str, str] = {}  # of the last request
        self._count = 0
        self.under_way = False  # a read was requested, and its reply not yet received

    def ask(self, after: Mapping[str, str], count: int) -> None:
        """Request entries, and renew the lease.

        Args:
            after: stream to the id after which to read: that of a pending entry, or ">" for entries never delivered.
            count: the maximum number of entries from each stream.

        Raises:
            LeaseLost: if this learner does not hold the lease any more.
        """
        if not self._watching:
            *_, holder = self._server.pipeline(self._look)
            self._check(holder)
            self._watching = True
        self._after, self._count = after, count
        options: list[Argument] = ["GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", *after, *after.values()]
        self._server.send([("MULTI",), self._keep, ("XREADGROUP", *options), ("EXEC",), *self._look])
        self.under_way = True

    def take(self) -> list[Reply]:
        """Receive the reply to the last `ask`: name and entries of each stream that had any.

        Raises:
            LeaseLost: if this learner did not hold the lease at the read, or does not hold it now. Entries that were
                read stay pending.
            ReplyError: the server's error, such as NOGROUP.
        """
        self.under_way = self._watching = False
        replies = self._server.receive(4 + len(self._look))
        if any(isinstance(reply, ServerFull) for reply in replies):
            return self._take_from_the_full()
        _raise_first(replies)
        *_, done, _, holder = replies
        _raise_first(done or [])
        self._check(holder)
        self._watching = True
        if done is None:  # the fence was written although the lease is still ours: keys were restored
            return []
        _, entries = done
        return entries or []

    def close(self) -> None:
        """Drop the connection. Entries that were requested and not received stay pending."""
        self.under_way = self._watching = False
        self._server.close()

    def _take_from_the_full(self) -> list[Reply]:
        keys, holder = [self._keys.lease, *self._after], (self._lease.token, self._lease.ttl_ms)
        return fenced(self._server, _READ, keys, *holder, GROUP, CONSUMER, self._count, *self._after.values()) or []

    def _check(self, holder: bytes | None) -> None:
        if holder is None or holder.decode() != self._lease.token:
            raise lost(f"FENCED the lease is not {self._lease.token}")


def _raise_first(replies: list[Reply]) -> None:
    for reply in replies:
        if isinstance(reply, BroodmindError):
            raise reply
