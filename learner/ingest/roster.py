"""Which actors' streams are read, and from where: joining them, and striking off the silent ones."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.process.log import Log
from ...common.server.keys import GROUP, NAME
from ...common.server.streams import ReplyError, Script
from ..commit.lease import fenced

if TYPE_CHECKING:
    from ...common.server.keys import Keys
    from ...common.server.streams import Reply, Server
    from ..commit.lease import Lease

_JOIN = Script(files(__package__).joinpath("join.lua").read_text())
_DEPART = Script(files(__package__).joinpath("depart.lua").read_text())
_log = Log("ingest")

ROSTER_MAX = 4096  # actors that are read at most, so that a roster flooded with names cannot make reads endless
_PENDING_MAX = 1 << 16  # entries of one stream; far more than a learner reads ahead
_PENDING_FIRST, _NEW = "0-0", ">"  # ids to read after: all pending entries; entries that were never delivered


class Roster:
    """The actors of a run that are read, and the position in each one's stream.

    `actors` may be read by any thread; everything else is for the reading thread.
    """

    def __init__(self, server: Server, keys: Keys, lease: Lease) -> None:
        self._server, self._keys, self._lease = server, keys, lease
        self._positions: dict[str, str] = {}  # actor to the id to read after: pending entries first, then new ones
        self._unreadable: set[str] = set()  # actors whose key is not a stream
        self.actors: tuple[str, ...] = ()  # those whose streams are read; replaced as a whole, for other threads

    @property
    def positions(self) -> dict[str, str]:
        """Actor to the stream id after which to read next, as XREADGROUP takes it."""
        return self._positions

    def advance(self, actor: str, last_id: bytes | None) -> None:
        """Note that an actor's pending entries were read up to an id, or to their end (None)."""
        if self._positions.get(actor, _NEW) != _NEW:
            self._positions[actor] = last_id.decode() if last_id is not None else _NEW

    def follow(self) -> list[tuple[str, list[Reply]]]:
        """Join the actors that are new on the roster in Redis, and leave those that are not on it any more.

        Returns:
            Each actor that joined, with its pending entries as XPENDING gives them.
        """
        names = [raw.decode(errors="replace") for raw in self._server.call("HKEYS", self._keys.roster)]
        listed = {name for name in names if NAME.fullmatch(name)}
        room = ROSTER_MAX - len(self._positions)
        joining = sorted(listed - self._positions.keys() - self._unreadable)[:room]
        joined = [(actor, pending) for actor in joining if (pending := self._join(actor)) is not None]
        for actor in self._positions.keys() - listed:
            del self._positions[actor]
        self._publish()
        return joined

    def strike_off_silent(self) -> None:
        """Remove the actors from the roster whose heartbeat has expired and whose entries are all consumed."""
        actors = list(self._positions)
        heard = self._server.pipeline([("EXISTS", self._keys.heartbeat(actor)) for actor in actors])
        for actor in (actor for actor, alive in zip(actors, heard, strict=True) if not alive):
            stream = self._keys.trajectories(actor)
            keys = [self._keys.lease, self._keys.roster, self._keys.heartbeat(actor), stream]
            if fenced(self._server, _DEPART, keys, self._lease.token, actor):
                del self._positions[actor]
                _log.info("actor left", actor=actor)
        self._publish()

    def clear(self) -> None:
        """Forget all actors and positions, so that each one joins again."""
        self._positions.clear()
        self._publish()

    def _join(self, actor: str) -> list[Reply] | None:
        """Create the learner's consumer group on an actor's stream, if it does not exist.

        Returns:
            The stream's pending entries, or None if the key is not a stream.
        """
        try:
            self._server.script(_JOIN, [self._keys.trajectories(actor)], GROUP)
        except ReplyError as error:
            if error.code == "WRONGTYPE":  # with this key in it, the read of all streams would fail
                self._unreadable.add(actor)
                _log.warning("actor ignored, its key is not a stream", actor=actor)
                return None
            if error.code != "BUSYGROUP":
                raise
        self._positions[actor] = _PENDING_FIRST
        pending: list[Reply] = self._server.call(
            "XPENDING", self._keys.trajectories(actor), GROUP, "-", "+", _PENDING_MAX
        )
        _log.info("actor joined", actor=actor, pending=len(pending))
        return pending

    def _publish(self) -> None:
        self.actors = tuple(self._positions)
