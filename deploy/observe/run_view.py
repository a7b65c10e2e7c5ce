"""The state of a run for display, read from Redis in one round trip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...common.deprecated import stored_counters, stored_fields
from ...common.errors import RedisUnreachable
from ...common.server.keys import GROUP
from ...common.server.streams import ReplyError

if TYPE_CHECKING:
    from ...common.server.keys import Keys
    from ...common.server.streams import Server


@dataclass(frozen=True, slots=True)
class ActorView:
    """One actor: its stream, as XLEN and XINFO GROUPS show it, and its heartbeat."""

    name: str
    backlog: int  # entries in the stream: not yet read, and read but not yet committed
    lag: int | None  # entries not yet read; None if the server cannot compute it
    pending: int  # entries read and not yet committed
    heartbeat: dict[str, str] = field(default_factory=dict)  # empty if it has expired


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
            ("HGETALL", keys.heartbeat(name)),
        )
    ]
    replies = server.replies(questions)
    for reply in replies:
        if isinstance(reply, RedisUnreachable):
            raise reply
    actors = [_actor(name, *replies[3 * index : 3 * index + 3]) for index, name in enumerate(names)]
    return RunView(stored_counters(_mapping(head)), stored_fields(_mapping(stats)), lease and lease.decode(), actors)


def _actor(name: str, backlog: Any, groups: Any, heartbeat: Any) -> ActorView:  # noqa: ANN401 - raw replies
    lag, pending = None, 0
    if not isinstance(groups, ReplyError):  # the stream may not exist yet
        for group in groups:
            fields = {key.decode(): value for key, value in zip(group[::2], group[1::2], strict=True)}
            if fields["name"].decode() == GROUP:
                lag, pending = fields["lag"], fields["pending"]
    return ActorView(name, backlog, lag, pending, _mapping(heartbeat))


def _mapping(raw: list[bytes]) -> dict[str, str]:
    return {key.decode(): value.decode(errors="replace") for key, value in zip(raw[::2], raw[1::2], strict=True)}
