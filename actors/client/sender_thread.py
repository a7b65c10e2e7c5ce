"""The sender thread: it owns the connection for a game that cannot wait, sends finished games and fetches policies.

After an error the thread reports it in the status, waits, and tries again. No error of the thread reaches the game.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError, WireError
from ...common.game_offer import game_to_json
from ...common.process.backoff import Backoff
from ...common.process.clock import Every
from ...common.process.log import Log
from ..policies.policy_source import state_after
from ..transport.credit import Credit
from ..transport.heartbeat import ActorStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.spec import GameSpec, RunSpec
    from ...common.wire.demand import Demand
    from ..inference.policy import Policy
    from ..policies.policy_source import ConnectionState
    from ..transport.delivery import Delivery
    from ..transport.stream_connection import ActorConnection

_log = Log("client")

_POLL_S = 1.0  # between two requests for the latest version; enough for games that take minutes
# First and longest wait for a version where the learner wants no more. A version ends it; but a commit may make room
# without publishing one, and so may a new demand.
_ROOM_S = (0.02, 0.4)
_ENTRIES_WITHOUT_DEMAND = 64
_OFFER_EVERY_S = 1.0
_RETRY_S = (0.1, 5.0)  # first and longest pause after a failure
# In one round trip, and one entry more: over a link of 1 Mbit/s so much takes 4 seconds, and a heartbeat lives for 10.
_ROUND_TRIP_BYTES = 1 << 19


class SenderThread:
    """Runs from `start` until the delivery is closed."""

    def __init__(
        self,
        connection: ActorConnection,
        delivery: Delivery,
        check: Callable[[RunSpec], None],
        game: GameSpec | None = None,
    ) -> None:
        """Prepare the thread.

        Args:
            connection: used by this thread alone from `start` on.
            delivery: the entries to be sent.
            check: raises SpecMismatch or ConfigError if the game cannot be played for a run of that spec.
            game: offered to a run that has no spec; None: nothing is.
        """
        self.policy: Policy | None = None  # the newest one; other threads only read this reference
        self.spec: RunSpec | None = None
        self.demand: Demand | None = None  # the learner's, as of the last exchange
        self.behind = False
        self.evaluation: tuple[float, Policy] | None = None  # the share of greedy games, and what they are played with
        self.state: ConnectionState = "connecting"
        self.problem = ""  # the last error, until an attempt succeeds
        self._connection, self._delivery, self._check = connection, delivery, check
        self._offer, self._offer_due = None if game is None else game_to_json(game), Every(_OFFER_EVERY_S)
        self._credit = Credit(_ENTRIES_WITHOUT_DEMAND)
        self._room, self._retry = Backoff(*_ROOM_S), Backoff(*_RETRY_S)
        self._wait_s = 0.0  # of the server for a version, in the next round trip
        self._thread = threading.Thread(target=self._run, name="broodmind-sender", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for the thread to end. Returns whether it has ended. Close the delivery before.

        A thread that waits for a server that hangs may not end in this time; it ends with the process.
        """
        self._thread.join(max(timeout_s, 0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._delivery.closed:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - the game continues after any error, and the status shows it
                self._note(error)
                self._delivery.wait_until_closed(self._retry.next_s())
        self._delivery.release()  # last, because another process may use the spool from now on
        try:
            self._connection.leave()
        except BroodmindError as error:
            _log.info("left without removing the heartbeat", error=error)

    def _step(self) -> None:
        if self.spec is None and not self._join():
            return
        assert self.spec is not None
        if not self._delivery.ready:  # at the beginning, or after another process took the name
            self._connection.enter()
        # Entries that the learner does not want yet wait in the delivery's queue, not in Redis.
        status, wait_ms = ActorStatus("playing", self._credit.steps), round(1000 * self._wait_s)
        sent = self._connection.round_trip(status, most=self._most(), most_bytes=_ROUND_TRIP_BYTES, wait_ms=wait_ms)
        self._connected()
        self.behind = self._delivery.queued > 0
        self._learn_demand()
        self._adopt_latest()
        self._adopt_candidate()
        self._wait(sent=sent > 0)

    def _most(self) -> int:
        """The number of new entries for which the learner's demand leaves room."""
        if self.state != "connected":  # the stream's length is not known, and what must be sent again goes first
            return 0
        return self._credit.entries(self._connection.unconsumed)

    def _learn_demand(self) -> None:
        latest = self._connection.latest
        version = (0, 0) if latest is None else (latest.epoch, latest.version)
        self.demand = self._connection.demand
        self._credit.learn(self.demand, version, self._connection.unconsumed.mean_entry)

    def _join(self) -> bool:
        """Read and check the run's spec. Returns False if no learner has written it yet."""
        spec = self._connection.ask_spec()
        if spec is None:
            self.state, self.problem = "waiting for a learner", ""
            if self._offer is not None and self._offer_due.due():
                self._connection.offer(self._offer)
            self._delivery.wait_until_closed(_POLL_S / 4)
            return False
        self._check(spec)
        self.spec = spec
        return True

    def _adopt_latest(self) -> None:
        """Fetch the newest version, for the episodes to come."""
        latest = self._connection.latest
        if latest is None or (self.policy is not None and self.policy.pointer == latest):
            return
        assert self.spec is not None
        try:
            self.policy = self._connection.versions.fetch_policy(latest, self.spec)
        except WireError as error:  # deleted meanwhile; or the run was created again, with another spec
            _log.info("weights not usable, trying again", error=error)
            spec = self._connection.ask_spec()
            if spec is not None and spec != self.spec:
                self.policy = None  # it belongs to another spec
                self._check(spec)
                self.spec = spec

    def _adopt_candidate(self) -> None:
        """Fetch the version that greedy games evaluate."""
        plan, spec, known = self._connection.plan, self.spec, self.evaluation
        if not plan.share or plan.candidate is None or spec is None:
            self.evaluation = None
        elif known is None or (known[0], known[1].pointer) != (plan.share, plan.candidate):
            played = [each for each in (self.policy, known and known[1]) if each and each.pointer == plan.candidate]
            try:
                policy = played[0] if played else self._connection.versions.fetch_candidate(plan.candidate, spec)
                self.evaluation = (plan.share, policy)
            except WireError as error:  # replaced meanwhile; or the run was created again
                self.evaluation = None
                _log.info("weights of the candidate not usable, trying again", error=error)

    def _wait(self, *, sent: bool) -> None:
        """Wait for a game to send, or until it is time to ask for the latest version.

        Where there is no room for a game, the server waits in the next round trip: an update may take a few
        milliseconds, and a learner whose actors hear of it later waits for them.
        """
        if sent or self._most():
            self._room.reset()
            self._wait_s = 0.0
            self._delivery.wait_for_work(_POLL_S * random.uniform(0.8, 1.2))  # noqa: S311 - not all at the same time
        else:
            self._wait_s = min(self._room.next_s(), self._credit.longest_wait_s)

    def _connected(self) -> None:
        if self.state != "connected":
            _log.info("connected", actor=self._connection.actor)
        self.state, self.problem = "connected", ""
        self._retry.reset()

    def _note(self, error: Exception) -> None:
        before = (self.state, self.problem)
        self.state, self.problem = state_after(error), str(error) or repr(error)
        if before != (self.state, self.problem):  # log an error once, not at each attempt
            _log.warning("redis not usable, the game continues without it", error=self.problem)
