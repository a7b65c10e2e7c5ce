"""Which actors' streams are read, and from where: admitting actors, and striking off the silent ones.

The roster in Redis is written by the learner alone. An actor that writes its heartbeat is found by a search of the
database, and admitted: a few at a time, up to a bound, and fair between those whose names begin alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ...common.process.clock import monotonic_s, now_ms
from ...common.process.log import Log
from ...common.server.keys import GROUP, NAME
from ...common.server.streams import Script
from ..commit.lease import fenced
from .candidates import Candidates, prefix_of
from .name_scan import NameScan
from .rotation import Rotation
from .unread_streams import UnreadStreams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...common.server.keys import Keys
    from ...common.server.streams import Reply, Server
    from ..commit.lease import Lease

_JOIN = Script(files(__package__).joinpath("join.lua").read_text())
_DEPART = Script(files(__package__).joinpath("depart.lua").read_text())
_log = Log("ingest")

ROSTER_MAX = 4096  # actors read
ADMITTED_AT_ONCE = 64  # names: some 4 ms
_REPLACED_AT_ONCE = 8  # names, where the roster is full
_KEEPS_ITS_PLACE_S = 10.0  # on a full roster, for an actor that delivers nothing
_STRUCK_OFF_AT_ONCE = 1024  # names: some 0.1 s
_LOGGED_AT_ONCE = 8  # names
_EXCLUDED_MAX = 1 << 16  # names remembered
_PENDING_MAX = 1 << 16  # far more than a learner reads ahead
_NEW_S = 5.0  # so long a newcomer counts as contributing before its first entry
_NEW_MAX, _NEW_PER_S = 64, 0.4  # so many do at once, and so many more in a second
_PENDING_FIRST, _NEW = "0-0", ">"  # ids to read after: all pending entries; entries that were never delivered


@dataclass(slots=True)
class _Member:
    """One actor that is read."""

    position: str  # the id to read after: pending entries first, then new ones
    admitted_s: float
    expected: bool  # to deliver soon: whether it counts as contributing before its first entry
    delivered: bool = False  # anything


class Roster:
    """The actors of a run that are read, and the position in each one's stream.

    `actors` and `contributing` may be read by any thread; everything else is for the reading thread.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        lease: Lease,
        admits: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = monotonic_s,
        *,
        most: int = ROSTER_MAX,
        trim_unread: bool = False,
    ) -> None:
        """What it works with.

        Args:
            server: for its commands.
            keys: the run's.
            lease: without which it admits nobody.
            admits: whether an actor of this name may be admitted.
            clock: seconds.
            most: how many actors are read.
            trim_unread: whether to delete streams that nobody will read.
        """
        self._server, self._keys, self._lease, self._admits, self._clock = server, keys, lease, admits, clock
        self._most = most
        self._members: dict[str, _Member] = {}
        self._loaded = False  # whether the roster in Redis has been read
        self._excluded: set[str] = set()  # names that are not admitted, and actors whose key is no stream
        self._left_behind: set[str] = set()  # names of streams without an actor, as far as is known
        self._seen_streams: set[str] = set()  # that are not read, in the search that goes on
        self._seen_before: set[str] = set()  # in the last whole one
        self._candidates = Candidates()
        self._scan = NameScan(server, keys, clock)
        self._rotation = Rotation(clock)
        self._expectable, self._expectable_s = float(_NEW_MAX), clock()
        self._unread = UnreadStreams(server, keys, lease, admits, clock, trim=trim_unread)
        # Replaced as a whole, for other threads to read.
        self.actors: frozenset[str] = frozenset()  # those being read
        self.contributing: frozenset[str] = frozenset()  # of these, who has delivered anything or joined just now

    def due(self) -> dict[str, str]:
        """The actors whose streams are to be looked at now, and the id after which to read each of them."""
        return {name: self._members[name].position for name in self._rotation.next()}

    def position(self, actor: str) -> str | None:
        """The id after which an actor's stream is to be read, as XREADGROUP takes it; None if it is not read."""
        member = self._members.get(actor)
        return None if member is None else member.position

    def advance(self, actor: str, last_id: bytes | None) -> None:
        """Note that an actor's stream was read up to an id, or, of its pending entries, to their end (None)."""
        member = self._members.get(actor)
        if member is None:
            return
        if last_id is not None:
            member.delivered = True
            self._rotation.delivered(actor)
        if member.position != _NEW:
            member.position = last_id.decode() if last_id is not None else _NEW

    def follow(self) -> list[tuple[str, list[Reply]]]:
        """Read who is on the roster, at first; search for actors that are not, and admit some of those found.

        Returns:
            Each actor that joined, with its pending entries as XPENDING gives them.
        """
        joined = [] if self._loaded else self._load()
        self._search()
        if len(self._candidates):
            joined += self._admit()
        self._unread.look()
        self._publish()
        return joined

    def join_again(self, actors: Sequence[str]) -> list[tuple[str, list[Reply]]]:
        """Join actors anew whose stream or group was deleted. Returns as `follow`."""
        for actor in actors:
            self._remove(actor)
        joined = self._join(actors, known=True)
        self._publish()
        return joined

    def strike_off_silent(self) -> None:
        """Take those off the roster whose heartbeat is gone and whose entries are all consumed."""
        actors = list(self._members)
        heard = self._server.pipeline([("EXISTS", self._keys.heartbeat(actor)) for actor in actors])
        silent = [actor for actor, alive in zip(actors, heard, strict=True) if not alive]
        left = [actor for actor in silent[:_STRUCK_OFF_AT_ONCE] if self._depart(actor)]
        _log_each("actor left", [{"actor": actor} for actor in left])
        self._publish()

    def clear(self) -> None:
        """Forget all actors and positions, so that each one joins again."""
        for actor in list(self._members):
            self._remove(actor)
        self._candidates.clear()
        self._loaded = False
        self._publish()

    def _load(self) -> list[tuple[str, list[Reply]]]:
        """Join all whom this learner, or one before it, has admitted."""
        names: list[str] = []
        cursor: Reply = 0
        while len(names) < self._most:  # only a hostile hash has more
            cursor, fields = self._server.call("HSCAN", self._keys.roster, cursor, "COUNT", 1000)
            decoded = (raw.decode(errors="replace") for raw in fields[::2])
            names += [name for name in decoded if NAME.fullmatch(name) and self._admits(name)]
            if cursor == b"0":
                break
        self._loaded = True
        return self._join(sorted(set(names))[: self._most], known=True)

    def _search(self) -> None:
        """Go on with the search of the database, and queue the names that are not known."""
        heartbeats, streams, whole = self._scan.search()
        for name in heartbeats:
            if not (name in self._members or name in self._excluded):
                self._consider(name)
        for name in streams:
            if name not in self._members:
                if len(self._seen_streams) < _EXCLUDED_MAX:
                    self._seen_streams.add(name)
                if not (name in self._excluded or name in self._left_behind):
                    self._consider(name)
        if whole:
            self._left_behind &= self._seen_streams
            self._unread.found(self._unread_for_long())
            self._seen_before, self._seen_streams = self._seen_streams, set()

    def _unread_for_long(self) -> set[str]:
        """Streams that were not read at two searches; but not those whose turn to be admitted comes."""
        there = self._seen_streams & self._seen_before - self._members.keys()
        if len(self._members) >= self._most:
            return there
        return {name for name in there if name not in self._candidates}

    def _consider(self, name: str) -> None:
        if self._admits(name):
            self._candidates.add(name)
        else:
            self._exclude(name)

    def _exclude(self, name: str) -> None:
        if len(self._excluded) >= _EXCLUDED_MAX:
            self._excluded.clear()
        self._excluded.add(name)

    def _admit(self) -> list[tuple[str, list[Reply]]]:
        room = self._most - len(self._members)
        if room > 0:
            return self._join(self._candidates.take(min(room, ADMITTED_AT_ONCE)), known=False)
        return self._join(self._given_room(self._candidates.take(_REPLACED_AT_ONCE)), known=False)

    def _given_room(self, newcomers: Sequence[str]) -> list[str]:
        """Those for whom there is room now, on a full roster.

        Whoever delivers nothing gives way to a newcomer if there are more with a name like its own, or after a while.
        """
        same = Counter(map(prefix_of, self._members))
        idle = [(same[prefix_of(name)], name) for name, member in self._members.items() if not member.delivered]
        idle.sort(key=lambda each: -each[0])  # those of the many first, and of these the one admitted first
        now_s, given = self._clock(), []
        for newcomer in newcomers:
            if not idle:
                break
            count, name = idle[0]
            fair = count > same[prefix_of(newcomer)] + 1
            if not fair and now_s - self._members[name].admitted_s < _KEEPS_ITS_PLACE_S:
                continue
            del idle[0]
            if self._depart(name, alive=True):
                given.append(newcomer)
        return given

    def _join(self, names: Sequence[str], *, known: bool) -> list[tuple[str, list[Reply]]]:
        """Join actors; those who are not admitted are left out. `known`: they are on the roster."""
        answers: list[bytes] = []
        for at in range(0, len(names), ADMITTED_AT_ONCE):
            part = names[at : at + ADMITTED_AT_ONCE]
            keys = [self._keys.lease, self._keys.roster]
            for name in part:
                keys += [self._keys.heartbeat(name), self._keys.incarnation(name), self._keys.trajectories(name)]
            answers += fenced(self._server, _JOIN, keys, self._lease.token, GROUP, now_ms(), int(not known), *part)
        had_group = [name for name, answer in zip(names, answers, strict=True) if answer == b"known"]
        asked = [("XPENDING", self._keys.trajectories(name), GROUP, "-", "+", _PENDING_MAX) for name in had_group]
        pending = dict(zip(had_group, self._server.pipeline(asked), strict=True))
        for name, answer in zip(names, answers, strict=True):
            self._take_answer(name, answer)
        joined = [name for name in names if name in self._members]
        _log_each("actor joined", [{"actor": name, "pending": len(pending.get(name, []))} for name in joined])
        return [(name, pending.get(name, [])) for name in joined]

    def _take_answer(self, name: str, answer: bytes) -> None:
        match answer:
            case b"no stream":  # reading it would fail the read of all the others too
                self._exclude(name)
                _log.warning("actor left out: its key is no stream", actor=name)
            case b"silent":
                self._left_behind.add(name)
            case _:
                has_pending = answer == b"known"
                position = _PENDING_FIRST if has_pending else _NEW
                self._members[name] = _Member(position, self._clock(), self._is_expected())
                self._rotation.add(name, active=has_pending)
                self._left_behind.discard(name)

    def _depart(self, actor: str, *, alive: bool = False) -> bool:
        """Strike an actor off; False where it may not go. `alive`: it may, though its heartbeat is there."""
        keys = [self._keys.lease, self._keys.roster, self._keys.heartbeat(actor), self._keys.incarnation(actor)]
        keys.append(self._keys.trajectories(actor))
        gone = bool(fenced(self._server, _DEPART, keys, self._lease.token, actor, int(alive)))
        if gone:
            self._remove(actor)
        return gone

    def _remove(self, actor: str) -> None:
        self._members.pop(actor, None)
        self._rotation.discard(actor)

    def _publish(self) -> None:
        if self.actors != self._members.keys():
            self.actors = frozenset(self._members)
        now_s = self._clock()
        self.contributing = frozenset(
            name
            for name, each in self._members.items()
            if each.delivered or (each.expected and now_s < each.admitted_s + _NEW_S)
        )

    def _is_expected(self) -> bool:
        """Whether one more that joins is expected to deliver soon: of thousands of invented names, not all are."""
        now_s = self._clock()
        self._expectable = min(self._expectable + _NEW_PER_S * (now_s - self._expectable_s), _NEW_MAX)
        self._expectable_s = now_s
        if self._expectable < 1:
            return False
        self._expectable -= 1
        return True


def _log_each(event: str, fields: Sequence[dict[str, object]]) -> None:
    """A line for each, up to a bound: a flood of names must not become one of lines."""
    for each in fields[:_LOGGED_AT_ONCE]:
        _log.info(event, **each)
    if len(fields) > _LOGGED_AT_ONCE:
        _log.info(event + ", and more", count=len(fields) - _LOGGED_AT_ONCE)
