"""Streams that nobody reads: seen, named, counted, and deleted where the learner is told so.

A user of one actor may add to a thousand streams of its own, and need not be admitted for that. What it adds fills the
server, and stays when it is gone.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s
from ...common.process.log import Log
from ...common.server.streams import Script
from ..commit.gauges import write_gauges
from ..commit.lease import fenced

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..commit.lease import Lease

_LOOK = Script(files(__package__).joinpath("unread.lua").read_text())
_log = Log("ingest")

LOOKED_AT_ONCE = 64  # streams: some 0.5 ms
_PUBLISH_EVERY_S = 1.0
_NAMED = 5  # the largest ones, in the warning


class UnreadStreams:
    """Looks at a few of the streams at a time, at each again and again. For one thread."""

    def __init__(
        self,
        server: Server,
        keys: Keys,
        lease: Lease,
        admits: Callable[[str], bool],
        clock: Callable[[], float] = monotonic_s,
        *,
        trim: bool,
    ) -> None:
        """What it works with.

        Args:
            server: for its commands.
            keys: the run's.
            lease: without which it does nothing.
            admits: whether an actor of this name may be admitted.
            clock: seconds.
            trim: whether to delete streams that nobody will read.
        """
        self._server, self._keys, self._lease, self._admits, self._clock = server, keys, lease, admits, clock
        self._trim = trim
        self._bytes: OrderedDict[str, int | None] = OrderedDict()  # by name; None: not looked at, 0: without entries
        self._streams, self._total = 0, 0  # with entries, and their bytes
        self._trimmed = 0  # entries
        self._published: dict[str, str | int] = {}
        self._published_s = -_PUBLISH_EVERY_S
        self._complete = False  # whether each was looked at

    def found(self, actors: Collection[str]) -> None:
        """Take note of the actors whose streams are there and are not read, as a search of the database found them."""
        for name in [name for name in self._bytes if name not in actors]:
            self._set(name, None)
            del self._bytes[name]
        for name in actors:
            if name not in self._bytes:
                self._bytes[name] = None
                self._bytes.move_to_end(name, last=False)  # what is new is looked at first
        self._complete = self._complete or not self._bytes

    def look(self) -> None:
        """Look at the next streams, delete what is to be deleted, and publish how many there are. Raises LeaseLost."""
        names = list(islice(self._bytes, LOOKED_AT_ONCE))
        if names:
            keys, arguments = [self._keys.lease, self._keys.roster], []
            for name in names:
                keys += [self._keys.heartbeat(name), self._keys.incarnation(name), self._keys.trajectories(name)]
                arguments += [name, self._order(name)]
            answers = fenced(self._server, _LOOK, keys, self._lease.token, *arguments)
            self._take_answers(list(zip(names, answers[::3], answers[1::3], answers[2::3], strict=True)))
            self._complete = self._complete or None not in self._bytes.values()
        if self._complete and self._clock() - self._published_s >= _PUBLISH_EVERY_S:
            self._publish()

    def _take_answers(self, answers: list[tuple[str, int, int, int]]) -> None:
        for name, entries, taken, deleted in answers:
            self._set(name, 0 if deleted or not entries else taken)
            self._bytes.move_to_end(name)
        gone = [(name, entries, taken) for name, entries, taken, deleted in answers if deleted]
        if gone:
            total = sum(entries for _, entries, _ in gone)
            self._trimmed += total
            named = ", ".join(name for name, *_ in gone[:_NAMED]) + (", ..." if len(gone) > _NAMED else "")
            taken = sum(taken for *_, taken in gone)
            _log.warning("deleted what nobody reads", streams=named, count=len(gone), entries=total, bytes=taken)

    def _order(self, name: str) -> str:
        if not self._trim:
            return "keep"
        return "spare" if self._admits(name) else "delete"

    def _set(self, name: str, taken: int | None) -> None:
        before = self._bytes[name] or 0
        self._bytes[name] = taken
        self._streams += bool(taken) - bool(before)
        self._total += (taken or 0) - before

    def _publish(self) -> None:
        gauges: dict[str, str | int] = {
            "unread_streams": self._streams,
            "unread_bytes": self._total,
            "unread_trimmed": self._trimmed,
            "warning_unread": self._warning(),
        }
        if gauges == self._published:
            return
        if gauges["warning_unread"] and not self._published.get("warning_unread"):
            _log.warning(str(gauges["warning_unread"]))
        write_gauges(self._server, self._keys, self._lease, gauges)
        self._published, self._published_s = gauges, self._clock()

    def _warning(self) -> str:
        """What is there and what to do about it; empty where nothing is."""
        if not self._streams:
            return ""
        largest = heapq.nlargest(_NAMED, self._bytes, key=lambda name: self._bytes[name] or 0)
        named = ", ".join(name for name in largest if self._bytes[name])
        more = f" and {self._streams - _NAMED} more" if self._streams > _NAMED else ""
        help_ = (
            "their actors may still be admitted, so they are kept"
            if self._trim
            else "name their actors in --admit if they are to be read, or else delete them (UNLINK), or start the "
            "learner with --trim-unread"
        )
        return (
            f"{self._streams} streams that nobody reads hold {self._total / (1 << 20):.1f} MB: {named}{more}; {help_}"
        )
