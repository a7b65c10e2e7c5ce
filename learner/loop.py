"""The learner process: opens sessions one after the other until its goal is reached or it is told to stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..common.errors import LeaseLost, LineageLost, NothingTrained, RedisUnreachable
from ..common.process.backoff import Backoff
from ..common.process.clock import monotonic_s
from ..common.process.log import Log
from ..common.server.keys import Keys
from ..common.server.streams import Server
from .commit.lease import Lease
from .ledger.counters import NEVER_ARRIVED
from .persistence.last_known_state import LastKnownState
from .persistence.run_spec import as_run_was_started
from .persistence.warm_start import read_warm_start
from .session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from ..common.process.shutdown import Stop
    from ..common.spec import RunSpec
    from .config import LearnerConfig
    from .ledger.counters import Counters
    from .persistence.recorder import Recorder

_log = Log("learner")


def learn(
    url: str, run: str, spec: RunSpec, config: LearnerConfig, stop: Stop, recorder: Recorder | None = None
) -> None:
    """Run one learner until `stop`, or until its goal is reached.

    After a lost connection a new session begins, which reads again what was not committed; so it does where the lease
    ended and nobody has taken it. Errors before the lease is taken for the first time are raised, so that a wrong
    address or password is noticed at once. `recorder` keeps the run's record; None: there is none.

    Raises:
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
        LeaseHeld: if another learner holds the lease. LeaseLost: if another learner has taken it over.
        NothingTrained: if the goal is reached, and all play that arrived was rejected.
        ConfigError: if the run in Redis has another spec, or if the run cannot start from the file `init_from`.
    """
    warm_start = read_warm_start(init_from, spec) if (init_from := config.checkpointing.init_from) else None
    lease = Lease(Keys(run), config.lease.ttl_ms)
    began_s, backoff = monotonic_s(), Backoff(*config.intervals.reconnect_s)
    last_known = LastKnownState()
    trained = _Trained()
    while not stop.requested:
        spec = _as_stored(url, run, spec, config.checkpointing.checkpoint_dir)
        session = Session(url, run, spec, config, lease, last_known, recorder)
        try:
            if not session.open(stop, warm_start):
                session.abandon()
                return
            backoff.reset()
            trained.begin(session.state.counters)
            while not (stop.requested or session.reached_its_goal(began_s)):
                session.step()
            session.close()
        except (RedisUnreachable, LineageLost) as error:
            session.abandon()
            if not lease.token or stop.requested:
                raise
            _log.warning("session ended, starting a new one from the state in Redis", error=error)
            time.sleep(backoff.next_s())
        except LeaseLost as error:
            session.abandon()  # first: until its threads have ended, they would write under the new lease
            if stop.requested or not _taken_again(url, lease):
                raise
            _log.warning("lease ended and nobody had taken it: took it again, starting a new session", error=error)
        except BaseException:
            session.abandon()
            raise
        else:
            trained.check(session.state.counters, stop)
            return


def _taken_again(url: str, lease: Lease) -> bool:
    """Take a lost lease again; False if another learner has had it since."""
    server = Server(url)
    try:
        return lease.take_again(server)
    except RedisUnreachable:
        return True  # as after any lost connection: the next session waits for the server, and for the lease
    finally:
        server.close()


class _Trained:
    """Whether anything was trained on since the start."""

    def __init__(self) -> None:
        self._before: Counters | None = None

    def begin(self, counters: Counters) -> None:
        """Note the totals at the beginning of a session. Only the first one counts."""
        self._before = self._before or counters

    def check(self, counters: Counters, stop: Stop) -> None:
        """Raise NothingTrained if the goal is reached, which may be a time, and all play since then was rejected."""
        before = self._before or counters
        rejected = {name: count - before.rejected()[name] for name, count in counters.rejected().items()}
        reasons = ", ".join(
            f"{name} {count}" for name, count in rejected.items() if count and name not in NEVER_ARRIVED
        )
        if reasons and counters.steps == before.steps and not stop.requested:
            raise NothingTrained(f"nothing was trained on: all play was rejected ({reasons})")


def _as_stored(url: str, run: str, spec: RunSpec, checkpoints: Path | None) -> RunSpec:
    """Our spec with what the stored one has beyond the settings."""
    server = Server(url)
    try:
        return as_run_was_started(server, Keys(run), spec, checkpoints)
    except RedisUnreachable:  # the session makes an attempt of its own, and raises what it finds
        return spec
    finally:
        server.close()
