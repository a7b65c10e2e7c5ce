"""Fenced reads of the actors' streams: only the learner that holds the lease can read.

Otherwise a learner that lost the lease could move entries into the pending list after its successor has read that list.

A read is a MULTI/EXEC transaction that watches the fence. A learner that takes the lease changes the fence, and Redis
then drops the transactions of all others. Each read also sends the check of the lease for the next read. A script
would need only one command, but the server copies each payload on its way through Lua, which takes longer than
everything else. The script is used at the server's memory limit, where Redis 7.0 refuses to queue a transaction.

Sizes are requested before contents: a look at streams says how much each of them has, and the next read requests no
more entries than that. Entries that are added meanwhile stand behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError
from ...common.server.keys import CONSUMER, GROUP
from ...common.server.streams import ReplyError, Script, ServerFull
from ..commit.lease import fenced, lost
from .entry_decoder import ENTRY_BYTES_MAX, SHOWN_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Argument, Reply, Server
    from ..commit.lease import Lease

_READ = Script(files(__package__).joinpath("read.lua").read_text())
_READ_SIZED = Script(files(__package__).joinpath("read_sized.lua").read_text())
_LENGTHS = Script(files(__package__).joinpath("lengths.lua").read_text())
ENTRIES_MANY = 4096  # in one stream: where there are more, its bytes say nothing of the next ones


@dataclass(frozen=True, slots=True)
class Unread:
    """What there is to read in a stream."""

    stream: str
    entries: int  # -1 where the learner's group is gone, or the key is no stream
    stream_bytes: int  # of the whole stream, with what was read and is not consumed; -1 where it has ENTRIES_MANY


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read of a stream."""

    stream: str
    after: str  # the id after which to read: of a pending entry, or ">" for what was never delivered
    count: int  # entries at most


class FencedReads:
    """Reads in two steps: `ask` sends the command, `take` receives the reply. One read at a time, for one thread."""

    def __init__(self, server: Server, keys: Keys, lease: Lease) -> None:
        self._server, self._keys, self._lease = server, keys, lease
        self._look = [("WATCH", keys.fence), ("GET", keys.lease)]  # WATCH first: no change goes unseen
        self._watching = False
        self._by_count: dict[int, list[Wanted]] = {}  # as asked last
        self._looked_at: tuple[str, ...] = ()  # as asked last
        self.under_way = False  # asked for and not yet taken

    @property
    def looked_at(self) -> int:
        """At how many streams the last `ask` looks."""
        return len(self._looked_at)

    def look(self, streams: Mapping[str, str]) -> list[Unread]:
        """How much there is in streams, of those that may have something.

        Args:
            streams: each with the id after which it is read.
        """
        found = self._server.script(_LENGTHS, list(streams), GROUP, ENTRIES_MANY, *streams.values())
        return _unread(tuple(streams), found)

    def ask(self, wanted: Sequence[Wanted], look_at: Mapping[str, str]) -> None:
        """Ask for entries, and for what there is afterwards.

        Args:
            wanted: what to read, of at least one stream.
            look_at: streams to look at after the read, as in `look`.

        Raises:
            LeaseLost: if this learner does not hold the lease any more.
        """
        if not self._watching:
            *_, holder = self._server.pipeline(self._look)
            self._check(holder)
            self._watching = True
        self._by_count = {}
        for each in wanted:
            self._by_count.setdefault(each.count, []).append(each)
        self._looked_at = tuple(look_at)
        self._server.send(
            [
                ("MULTI",),
                *(("XREADGROUP", *_options(count, part)) for count, part in self._by_count.items()),
                ("EXEC",),
                *self._look,
                ("EVALSHA", _LENGTHS.sha, len(look_at), *look_at, GROUP, ENTRIES_MANY, *look_at.values()),
            ]
        )
        self.under_way = True

    def take(self) -> tuple[list[Reply], list[Unread]]:
        """Receive the reply to the last `ask`: name and entries of each stream that had any, and what is there now.

        Raises:
            LeaseLost: if this learner did not hold the lease at the read, or does not hold it now. Entries that were
                read stay pending.
            ReplyError: the server's error, such as NOGROUP.
        """
        self.under_way = self._watching = False
        replies = self._server.receive(2 + len(self._by_count) + len(self._look) + 1)
        lengths = replies.pop()
        if isinstance(lengths, ReplyError) and lengths.code == "NOSCRIPT":
            lengths = []  # the server forgot it; `look` teaches it again
        if any(isinstance(reply, ServerFull) for reply in replies):
            return self._take_from_the_full(), []
        _raise_first([*replies, lengths])
        *_, done, _, holder = replies
        _raise_first(done or [])
        self._check(holder)
        self._watching = True
        if done is None:  # the fence was written although the lease is still ours: keys were restored
            return [], []
        return [read for part in done for read in part or []], _unread(self._looked_at, lengths)

    def close(self) -> None:
        """Drop the connection. Entries that were requested and not received stay pending."""
        self.under_way = self._watching = False
        self._server.close()

    def _take_from_the_full(self) -> list[Reply]:
        found: list[Reply] = []
        for count, part in self._by_count.items():
            keys = [self._keys.lease, *(each.stream for each in part)]
            holder = (self._lease.token, self._lease.ttl_ms)
            after = (each.after for each in part)
            found += fenced(self._server, _READ, keys, *holder, GROUP, CONSUMER, count, *after) or []
        return found

    def _check(self, holder: bytes | None) -> None:
        if holder is None or holder.decode() != self._lease.token:
            raise lost(f"FENCED the lease is not {self._lease.token}")


def read_large(
    server: Server, keys: Keys, lease: Lease, wanted: Wanted, bytes_at_most: int
) -> list[tuple[bytes, list[bytes], int]]:
    """Read one stream entry by entry, up to a number of bytes and one entry more.

    Returns:
        For each entry its id, its fields, and its bytes where it is too large, else 0; its fields are cut short then.

    Raises:
        LeaseLost: if the lease is not ours any more.
    """
    reader = (lease.token, GROUP, CONSUMER)
    limits = (wanted.count, bytes_at_most, ENTRY_BYTES_MAX, SHOWN_BYTES)
    found = fenced(server, _READ_SIZED, [keys.lease, wanted.stream], *reader, wanted.after, *limits)
    return [(raw_id, raw_fields, size) for raw_id, raw_fields, size in found]


def _options(count: int, wanted: Sequence[Wanted]) -> list[Argument]:
    streams, after = (each.stream for each in wanted), (each.after for each in wanted)
    return ["GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", *streams, *after]


def _unread(streams: Sequence[str], found: list[int]) -> list[Unread]:
    """From the flat list that the script returns, whose indices begin at 1."""
    return [
        Unread(streams[index - 1], entries, stream_bytes)
        for index, entries, stream_bytes in zip(found[::3], found[1::3], found[2::3], strict=True)
    ]


def _raise_first(replies: list[Reply]) -> None:
    for reply in replies:
        if isinstance(reply, BroodmindError):
            raise reply
