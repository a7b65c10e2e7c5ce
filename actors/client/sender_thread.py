"""The courier: the thread that owns Redis for a game that cannot wait. It carries finished games, and brings policies.

Whatever goes wrong on the way it tells by its status, waits, and tries again; the game never hears of it.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Literal

from ...common.errors import BroodmindError, ConfigError, NameTaken, RedisDenied, SpecMismatch, WireError
from ...common.process.log import Log
from ...common.server.streams import NotNow, ServerFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.spec import RunSpec
    from ..inference.policy import Policy
    from ..transport.outbox import EntryId
    from ..transport.stream_connection import ActorConnection
    from .send_queue import QueuedEpisode, SendQueue

_log = Log("client")

Connection = Literal["connecting", "waiting for a learner", "connected", "full", "unreachable", "denied", "misfit"]

# An entry is one game here, where other actors' entries are pieces of many games side by side: at a high water of two,
# usual for those, the learner would train on two games at a time. And these games cannot wait anyway.
_HIGH_WATER = 64
_HIGH_WATER_BYTES = 32 << 20  # of one actor's games in Redis, as far as the largest of them tells
_POLL_S = 1.0  # between looks at the latest version; games that take minutes need no more
_ROOM_S = (0.02, 1.0)  # first and longest pause at high water
_RETRY_S = (0.1, 5.0)  # first and longest pause after a failure


class SenderThread:
    """Works in a thread of its own, from `start` to `close`."""

    def __init__(self, line: ActorConnection, backlog: SendQueue, check: Callable[[RunSpec], None]) -> None:
        self.policy: Policy | None = None  # the newest one; the game's thread takes the reference, and that is all
        self.spec: RunSpec | None = None
        self.connection: Connection = "connecting"
        self.problem = ""
        self._line, self._backlog, self._check = line, backlog, check
        self._under_way: dict[EntryId, QueuedEpisode] = {}
        self._kept: dict[EntryId, QueuedEpisode] = {}  # arrived, and not yet for so long that nothing could undo it
        self._pause_s = _ROOM_S[0]
        self._retry_s = _RETRY_S[0]
        self._thread = threading.Thread(target=self._run, name="broodmind-courier", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Wait for the thread, whose backlog has been closed; one that hangs in a dead server is left to itself."""
        self._thread.join(max(timeout_s, 0))

    def _run(self) -> None:
        while not self._backlog.closed:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - whatever it is, the game goes on, and somebody is told
                self._note(error)
                self._backlog.wait_until_closed(self._retry_s * random.uniform(0.7, 1.3))  # noqa: S311
                self._retry_s = min(2 * self._retry_s, _RETRY_S[1])
        for parcel in self._kept.values():
            self._backlog.forget(parcel)
        self._backlog.release()  # not before: whoever has the spool next must find nothing that is still changing
        try:
            self._line.leave()
        except BroodmindError as error:
            _log.info("left without a goodbye", error=error)

    def _step(self) -> None:
        if self.spec is None and not self._join():
            return
        assert self.spec is not None
        self._line.high_water = high_water(self.spec, self._backlog.largest)
        # Held back at high water; what is queued meanwhile waits here, not in Redis.
        dropped, parcels = self._backlog.take(self._room())
        self._line.outbox.skip(dropped)
        for parcel in parcels:
            if packed := self._backlog.open(parcel):
                entry_id = self._line.add(*packed)
                self._under_way[entry_id] = parcel
                self._backlog.number(parcel, entry_id)
        try:
            safe = self._line.round_trip()
        except NameTaken:
            self._take_back(self.spec)
            raise
        except (ServerFull, NotNow):
            for before, entry_id in self._line.renumbered.items():
                parcel = self._under_way[entry_id] = self._under_way.pop(before)
                self._backlog.number(parcel, entry_id)
            raise
        self._arrived(safe)
        self._connected()
        self._adopt()
        self._wait(sent=bool(parcels))

    def _room(self) -> int:
        if self.connection != "connected":  # nobody knows how much there is; and what must be sent again goes first
            return 0
        return self._line.high_water - self._line.backlog

    def _join(self) -> bool:
        """Find out what the run is; False where nobody has said it yet."""
        spec = self._line.ask_spec()
        if spec is None:
            self.connection, self.problem = "waiting for a learner", ""
            self._backlog.wait_until_closed(_POLL_S / 4)
            return False
        self._check(spec)
        self._enter(spec)
        self._line.state = "playing"
        for entry_id, parcel in self._backlog.resumed.items():
            if packed := self._backlog.open(parcel):
                self._line.resume(entry_id, *packed)
                self._under_way[entry_id] = parcel
        self._backlog.resumed = {}
        self.spec = spec
        return True

    def _enter(self, spec: RunSpec) -> None:
        self._line.enter(spec, above=max((incarnation for incarnation, _ in self._backlog.resumed), default=0))
        self._line.high_water = high_water(spec, self._backlog.largest)

    def _take_back(self, spec: RunSpec) -> None:
        """Another process uses our name: number again, above it, what Redis refused for that."""
        refused = [self._under_way.pop(entry_id) for entry_id in self._line.outbox.refused]
        self._backlog.put_back(refused)
        self._arrived([])
        self._enter(spec)

    def _arrived(self, safe: list[EntryId]) -> None:
        """All that is under way has; what is safe need not be kept any longer."""
        self._kept |= self._under_way
        self._under_way.clear()
        self._backlog.acknowledge()
        for entry_id in safe:
            self._backlog.forget(self._kept.pop(entry_id))

    def _adopt(self) -> None:
        """Fetch the newest version, for the episodes to come."""
        latest = self._line.latest
        if latest is None or (self.policy is not None and self.policy.pointer == latest):
            return
        try:
            self.policy = self._line.fetch_policy(latest)
        except WireError as error:  # collected meanwhile; or the run was made anew, with another spec
            _log.info("weights not usable, asking again", error=error)
            spec = self._line.ask_spec()
            if spec is not None and spec != self.spec:
                self.policy = None  # it plays another run's game
                self._check(spec)
                self._line.spec = self.spec = spec

    def _wait(self, *, sent: bool) -> None:
        """Until there is something to do: a game to send, room to send it, or a look at the latest version."""
        if sent or not self._line.full:
            self._pause_s = _ROOM_S[0]
            self._backlog.wait_for_work(_POLL_S * random.uniform(0.8, 1.2))  # noqa: S311 - so that not all ask at once
        else:
            self._backlog.wait_until_closed(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _ROOM_S[1])

    def _connected(self) -> None:
        if self.connection != "connected":
            _log.info("connected", actor=self._line.actor)
        self.connection, self.problem, self._retry_s = "connected", "", _RETRY_S[0]

    def _note(self, error: Exception) -> None:
        before = (self.connection, self.problem)
        self.connection, self.problem = _kind(error), str(error) or repr(error)
        if before != (self.connection, self.problem):  # once, and not at each attempt
            _log.warning("playing on without redis", error=self.problem)


def high_water(spec: RunSpec, largest: int) -> int:
    """How many games may stand in Redis: a client's own mark, and never less than the run's."""
    return max(spec.rollout.high_water, min(_HIGH_WATER, _HIGH_WATER_BYTES // max(largest, 1)))


def _kind(error: Exception) -> Connection:
    match error:
        case ServerFull():
            return "full"
        case RedisDenied():
            return "denied"
        case SpecMismatch() | ConfigError():
            return "misfit"
    return "unreachable"
