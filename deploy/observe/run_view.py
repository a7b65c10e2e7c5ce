"""The state of a run for display, read from Redis in three round trips, whatever actors put into their own keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...common.deprecated import stored_counters, stored_fields
from ...common.errors import RedisUnreachable
from ...common.server.keys import GROUP
from ...common.server.streams import ReplyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Reply, Server

HEARTBEAT_FIELDS_MAX = 64  # some 20 are usual
HEARTBEAT_BYTES_MAX = 1 << 14  # of memory on the server; some 1,000 are usual

_RATE = "steps_per_second"


@dataclass(frozen=True, slots=True)
class ActorView:
    """One actor: its stream, as XLEN and XINFO GROUPS show it, and its heartbeat."""

    name: str
    backlog: int  # entries in the stream: not yet read, and read but not yet committed
    lag: int | None  # entries not yet read; None if the server cannot compute it
    pending: int  # entries read and not yet committed
    heartbeat: dict[str, str] = field(
        default_factory=dict
    )  # empty if it has expired; only a `state` if it is too large


@dataclass(frozen=True, slots=True)
class RunView:
    """The state of a run at one moment."""

    head: dict[str, str]
    stats: dict[str, str]
    lease: str | None
    actors: list[ActorView]

    @property
    def lag(self) -> int:
        """Entries not yet read, of all actors."""
        return sum(actor.lag or 0 for actor in self.actors)

    @property
    def backlog(self) -> int:
        """Entries in all streams."""
        return sum(actor.backlog for actor in self.actors)


def look(server: Server, keys: Keys) -> RunView:
    """Read the state of a run. The head of an unknown run is empty."""
    head, stats, lease, roster = server.pipeline(
        [("HGETALL", keys.head), ("HGETALL", keys.stats), ("GET", keys.lease), ("HKEYS", keys.roster)]
    )
    names = sorted(name.decode(errors="replace") for name in roster)
    questions = [
        question
        for name in names
        for question in (
            ("XLEN", keys.trajectories(name)),
            ("XINFO", "GROUPS", keys.trajectories(name)),
            ("HLEN", keys.heartbeat(name)),
            ("MEMORY", "USAGE", keys.heartbeat(name), "SAMPLES", HEARTBEAT_FIELDS_MAX),
        )
    ]
    replies = _replies(server, questions)
    parts = [replies[4 * index : 4 * index + 4] for index in range(len(names))]
    # A field of a heartbeat may be as large as its actor likes. With no more fields than samples the size is exact.
    readable = [_fits(fields, size) for _, _, fields, size in parts]
    asked = [("HGETALL", keys.heartbeat(name)) for name, read in zip(names, readable, strict=True) if read]
    beats = iter(_replies(server, asked))
    actors = [
        _actor(name, backlog, groups, next(beats) if read else _unread(fields, size))
        for name, read, (backlog, groups, fields, size) in zip(names, readable, parts, strict=True)
    ]
    statistics = stored_fields(_mapping(stats))
    if lease is None and _RATE in statistics:
        statistics[_RATE] = "0"  # nobody trains, and a learner that was killed has not written it
    return RunView(stored_counters(_mapping(head)), statistics, lease and lease.decode(), actors)


def _replies(server: Server, questions: Sequence[tuple[str | int, ...]]) -> list[Reply]:
    replies = server.replies(questions)
    for reply in replies:
        if isinstance(reply, RedisUnreachable):
            raise reply
    return replies


def _fits(fields: Reply, size: Reply) -> bool:
    """Whether a heartbeat may be read, by its number of fields and its bytes; not where it is none, or has expired."""
    if not (isinstance(fields, int) and isinstance(size, int)):
        return False
    return 0 < fields <= HEARTBEAT_FIELDS_MAX and size <= HEARTBEAT_BYTES_MAX


def _unread(fields: Reply, size: Reply) -> list[bytes]:
    """What is shown of a heartbeat that was not read, in the form of HGETALL."""
    if not fields or size is None:
        return []
    if not (isinstance(fields, int) and isinstance(size, int)):
        return [b"state", b"no heartbeat under its key"]
    return [b"state", b"not shown: a heartbeat of %d fields, %d bytes" % (fields, size)]


def _actor(name: str, backlog: Reply, groups: Reply, heartbeat: Reply) -> ActorView:
    lag, pending = None, 0
    if not isinstance(groups, ReplyError):  # the stream may not exist yet
        for group in groups:
            fields = {key.decode(): value for key, value in zip(group[::2], group[1::2], strict=True)}
            if fields["name"].decode() == GROUP:
                lag, pending = fields["lag"], fields["pending"]
    beat = {} if isinstance(heartbeat, ReplyError) else _mapping(heartbeat)
    return ActorView(name, backlog if isinstance(backlog, int) else 0, lag, pending, beat)


def _mapping(raw: list[bytes]) -> dict[str, str]:
    fields = zip(raw[::2], raw[1::2], strict=True)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields}
