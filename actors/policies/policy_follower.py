"""The thread of a bot that only plays: it fetches the version that was asked for, and writes nothing to the run."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Literal

from ...common.errors import ConfigError, WireError
from ...common.process.backoff import Backoff
from ...common.process.log import Log
from .policy_source import state_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.spec import RunSpec
    from ...common.wire.demand import Demand
    from ..inference.policy import Policy
    from ..transport.delivery import Delivery
    from ..transport.stream_connection import ActorConnection
    from .policy_source import ConnectionState

_log = Log("client")

Version = Literal["best"] | int | None  # None: the newest

_POLL_S = 1.0
_RETRY_S = (0.1, 5.0)  # first and longest pause after a failure
BEST: Literal["best"] = "best"


class PolicyFollower:
    """A `PolicySource` that follows the newest or the best version, or stays with one."""

    def __init__(
        self,
        connection: ActorConnection,
        delivery: Delivery,
        check: Callable[[RunSpec], None],
        version: Version = None,
        poll_s: float = _POLL_S,
    ) -> None:
        """Prepare the thread.

        Args:
            connection: used by this thread alone from `start` on.
            delivery: of the agent; nothing is put into it, and the thread ends once it is closed.
            check: raises SpecMismatch or ConfigError if the game cannot be played for a run of that spec.
            version: what to play.
            poll_s: the time between two looks for a newer version.
        """
        self.policy: Policy | None = None
        self.spec: RunSpec | None = None
        self.demand: Demand | None = None
        self.behind = False
        self.evaluation: tuple[float, Policy] | None = None
        self.state: ConnectionState = "connecting"
        self.problem = ""
        self._connection, self._delivery, self._check = connection, delivery, check
        self._version, self._poll_s, self._retry = version, poll_s, Backoff(*_RETRY_S)
        self._thread = threading.Thread(target=self._run, name="broodmind-follower", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for the thread to end. Returns whether it has ended. Close the delivery before."""
        self._thread.join(max(timeout_s, 0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._delivery.closed:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the game continues after any error, and the status shows it
                self._say(state_after(error), str(error) or repr(error))
                self._delivery.wait_until_closed(self._retry.next_s())
            else:
                self._retry.reset()
                self._delivery.wait_until_closed(self._poll_s * random.uniform(0.8, 1.2))  # noqa: S311
        self._connection.close()

    def _look(self) -> None:
        """Fetch what is to be played, unless it is there."""
        spec = self._connection.ask_spec()
        if spec is None:
            self._say("waiting for a learner", "")
            return
        if spec != self.spec:
            self._check(spec)
            self.policy, self.spec = None, spec
        try:
            self._say("connected", self._adopt(spec))
        except WireError as error:  # replaced or deleted meanwhile
            self._say("connected", str(error))

    def _adopt(self, spec: RunSpec) -> str:
        """Take up the version that is asked for. Returns why there is none, or nothing.

        Raises ConfigError, which names the versions that are there, if the one that was asked for is not.
        """
        if isinstance(self._version, int):
            if self.policy is None:
                self.policy = self._kept(self._version, spec)
            return ""
        latest, plan = self._connection.versions.ask_latest()
        pointer = plan.best if self._version == BEST else latest
        if pointer is None:
            return "" if self._version is None else "version: 'best', and none has been chosen yet: see eval_share"
        if self.policy is None or self.policy.pointer != pointer:
            versions = self._connection.versions
            fetch = versions.fetch_best if self._version == BEST else versions.fetch_policy
            self.policy = fetch(pointer, spec)
        return ""

    def _kept(self, version: int, spec: RunSpec) -> Policy:
        kept = self._connection.versions.kept(spec)
        if version not in kept:
            there = ", ".join(map(str, sorted(kept)))
            raise ConfigError(f"version: {version}, expected one that the run keeps: {there}; or {BEST!r}")
        return kept[version]()

    def _say(self, state: ConnectionState, problem: str) -> None:
        before = (self.state, self.problem)
        self.state, self.problem = state, problem
        if before != (state, problem) and problem:  # once, and not at each attempt
            _log.warning("no policy as asked for, the game continues", problem=problem)
        elif before != (state, problem) and state == "connected":
            _log.info("connected", actor=self._connection.actor)
