"""The learner: take in what the actors sent, train, commit; again and again."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.clock import Every, monotonic_s, now_ms
from ..common.errors import LineageLost, RedisUnreachable
from ..common.keys import Keys
from ..common.log import Log
from ..common.streams import Server, format_id
from . import store
from .batch import collate
from .commit import Commit, Head, next_head, send
from .counters import REFUSALS, Counters
from .history import History
from .ingest import Ingest
from .intake import Intake, refusal
from .lease import Lease
from .rate import RateOfSteps
from .trainer import Trainer

if TYPE_CHECKING:
    from ..common.shutdown import Stop
    from ..common.spec import RunSpec
    from ..common.streams import Argument
    from ..common.trajectory import Header
    from .config import LearnerConfig
    from .counters import Refusal
    from .figures import Figures
    from .intake import Cursors

_log = Log("learner")

_TAKE_S = 0.05  # how long to wait for an entry before looking at the clock and the stop flag again
_REFUSED_WAIT_S = 0.25  # how long a refused entry may keep its place in its actor's backlog
_STANDSTILL_S = 0.5  # how long all actors may be blocked before a batch goes without what it still lacks
_RECONNECT_S = (0.1, 5.0)  # first and longest wait between attempts after a lost connection
_GAUGES_EVERY_S = 0.1


def learn(url: str, run: str, spec: RunSpec, config: LearnerConfig, stop: Stop) -> None:
    """Run one learner until `stop`, or until its goal is reached.

    A lost connection is waited out; what was not committed by then is read again. The errors of the first attempt
    are raised, so that a wrong address or password is seen at once.

    Raises:
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
        LeaseHeld: if another learner runs this run. LeaseLost: if one took over.
        ConfigError: if the run in Redis was made with another spec.
    """
    lease = Lease(Keys(run), config.lease_ttl_ms)
    began = monotonic_s()
    pause, connected = _RECONNECT_S[0], False
    while not stop.requested:
        session = Session(url, run, spec, config, lease, began)
        try:
            session.open(stop)
            pause, connected = _RECONNECT_S[0], True
            while not stop.requested and not session.done:
                session.step()
            session.close()
        except (RedisUnreachable, LineageLost) as error:
            session.abandon()
            if not connected or stop.requested:
                raise
            _log.warning("starting over from what Redis holds", error=error)
            time.sleep(pause)
            pause = min(2 * pause, _RECONNECT_S[1])
        except BaseException:
            session.abandon()
            raise
        else:
            return


class Session:
    """A learner's work over one unbroken sight of the run: everything in memory follows from what was loaded."""

    def __init__(self, url: str, run: str, spec: RunSpec, config: LearnerConfig, lease: Lease, began: float) -> None:
        self._url, self._spec, self._config, self._lease, self._began = url, spec, config, lease, began
        self._keys = Keys(run)
        self._server = Server(url)
        self._trainer = Trainer(spec, config.algorithm)
        self._history = History()
        self._counters = Counters()
        self._head = Head()
        self._rate = RateOfSteps()
        self._intake = Intake(config.intake, {})
        self._refused_since: float | None = None
        self._ingest: Ingest | None = None
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._pending: Future[None] | None = None
        self._checkpoints = store.Checkpoints(Path(config.checkpoint_dir)) if config.checkpoint_dir else None
        self._checkpoint_due = Every(config.checkpoint_every_s)
        self._gauges_due = Every(_GAUGES_EVERY_S)
        self._last: store.Stored | None = None
        self.done = False

    def open(self, stop: Stop) -> None:
        """Take the lease, go on from what Redis or a checkpoint holds or begin anew, and start to read."""
        self._lease.acquire(self._server, stop, self._config.lease_wait_s)
        store.agree_on_spec(self._server, self._keys, self._spec)
        stored = store.load(self._server, self._keys)
        if stored is not None:
            self._resume(stored)
        else:
            self._begin()
        ingest_server = Server(self._url)
        capacity = 2 * max(self._config.intake.batch_steps, 1)
        self._ingest = Ingest(ingest_server, self._keys, self._lease, self._spec, self._refuse, capacity)
        self._ingest.start()

    def step(self) -> None:
        """Take in what there is; train when it is enough for an update."""
        assert self._ingest is not None
        entry = self._ingest.take(_TAKE_S)
        if entry is not None:
            self._intake.add(entry, self._head, now_ms())
            if self._intake.refused and self._refused_since is None:
                self._refused_since = monotonic_s()
        standstill = entry is None and self._ingest.blocked_s > _STANDSTILL_S
        if self._intake.complete or (standstill and self._intake.accepted):
            self._train()
        elif (
            not self._intake.accepted and self._refused_since and monotonic_s() - self._refused_since > _REFUSED_WAIT_S
        ):
            self._commit(None)
        self._check_limits()

    def close(self) -> None:
        """Finish the commit under way, save a checkpoint, and give the lease back."""
        self._settle()
        self._save_checkpoint()
        if self._ingest is not None:
            self._ingest.close()
        self._committer.shutdown()
        self._lease.release(self._server)
        self._server.close()

    def abandon(self) -> None:
        """Let go of everything after an error; what was not committed is still in Redis."""
        if self._ingest is not None:
            self._ingest.close()
        self._committer.shutdown(cancel_futures=True)
        self._server.close()

    def _resume(self, stored: store.Stored) -> None:
        cursors = stored.restore(self._spec, self._trainer, self._history)
        self._intake = Intake(self._config.intake, cursors)
        self._head, self._counters, self._last = stored.head, stored.counters, stored
        _log.info("resumed", run=self._keys.run, epoch=self._head.epoch, version=self._head.version)

    def _begin(self) -> None:
        """Publish a first version: fresh from the seed, or a checkpoint's in an epoch of its own."""
        parent = self._head
        saved = self._checkpoints.newest() if self._checkpoints else None
        if saved is None:
            self._head = replace(next_head(parent, publish=True), epoch=1)
        else:
            stored, spec = saved
            store.agree_on_spec(self._server, self._keys, spec)
            stored.restore(self._spec, self._trainer, self._history)  # its cursors are of streams that are gone
            self._counters = stored.counters
            # What actors play or hold from before belongs to a lineage that nobody can follow any more.
            self._head = Head(stored.head.epoch + 1, stored.head.version + 1, next_head(parent, publish=True).commit)
            _log.info(
                "seeded from a checkpoint", run=self._keys.run, epoch=self._head.epoch, version=self._head.version
            )
        self._submit(parent, {}, publish=True)
        self._settle()

    def _refuse(self, header: Header) -> Refusal | None:
        return refusal(header, self._head, now_ms(), self._config.intake)

    def _train(self) -> None:
        accepted = self._intake.in_order()
        now = now_ms()
        for header, trajectory in accepted:
            self._history.accept(header, trajectory, self._head.version, now)
        batch = collate([trajectory for _, trajectory in accepted])
        figures = self._trainer.update(batch)
        self._counters = self._counters.add(updates=1, accepted=len(accepted), steps=batch.steps, games=batch.games)
        self._rate.add(self._counters.steps)
        self._commit(figures)

    def _commit(self, figures: Figures | None) -> None:
        """Commit everything taken in so far, with a new version where there are figures of an update."""
        refused = self._intake.refused
        for entry, _ in refused:
            if entry.header is not None and entry.trajectory is None and entry.refused in {"stale", "too_old"}:
                self._history.refuse(entry.header, self._head.version)
        by_reason = {name: sum(reason == name for _, reason in refused) for name in REFUSALS}
        self._counters = self._counters.add(**by_reason, overflow=self._intake.overflow)
        parent, self._head = self._head, next_head(self._head, publish=figures is not None)
        self._submit(parent, figures or {}, publish=figures is not None)
        self._intake = Intake(self._config.intake, self._intake.cursors)
        self._refused_since = None

    def _submit(self, parent: Head, figures: Figures, *, publish: bool) -> None:
        """Hand a commit to the committing thread, once the one before has gone through."""
        learner = store.encode_learner(self._head, self._trainer, self._history, self._cursors_of_the_present())
        weights = self._trainer.weights() if publish else None
        mean_return = self._history.mean_return
        goal = self._config.goal.until_return
        self.done = self.done or (goal is not None and mean_return is not None and mean_return >= goal)
        commit = Commit(
            parent=parent,
            head=self._head,
            learner=learner,
            weights=weights,
            counters=self._counters.to_fields(),
            stats=self._stats(figures),
            entry=_printed(figures),
            consumed=self._intake.consumed,
            rejected=[
                {"actor": e.actor, "id": format_id(e.id), "reason": why, "problem": e.problem, "payload": e.shown}
                for e, why in self._intake.refused
                if why == "invalid"
            ],
        )
        self._settle()
        if self._checkpoint_due.due():
            self._save_checkpoint()  # of what has gone through, not of what is about to
        self._pending = self._committer.submit(send, self._server, self._keys, self._lease, commit)
        if weights is not None:
            self._last = store.Stored(self._head, self._counters, learner, weights)

    def _cursors_of_the_present(self) -> Cursors:
        """The cursors without those of actors that left: what they sent is gone, and they resend nothing so old."""
        if self._ingest is None:
            return self._intake.cursors
        present = {*self._ingest.actors, *self._intake.consumed}
        return {actor: entry_id for actor, entry_id in self._intake.cursors.items() if actor in present}

    def _settle(self) -> None:
        """Wait for the commit under way; raises what it ran into."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _save_checkpoint(self) -> None:
        if self._checkpoints is not None and self._last is not None:
            self._checkpoints.save(self._last, self._spec)

    def _stats(self, figures: Figures) -> dict[str, Argument]:
        stats: dict[str, Argument] = {
            "run": self._keys.run,
            "epoch": self._head.epoch,
            "version": self._head.version,
            "updated_ms": now_ms(),
            **self._counters.to_fields(),
            **_printed(figures),
        }
        if self._gauges_due.due() or self.done:
            stats |= {
                **_printed(self._history.figures()),
                "steps_per_second": f"{self._rate.per_second():.0f}",
                "actors": len(self._ingest.actors) if self._ingest else 0,
                **{name: json.dumps(value) for name, value in self._history.refusals().items()},
                **{name: str(value) for name, value in self._trainer.describe().items()},
            }
        if self.done:
            stats["solved_ms"] = now_ms()
        return stats

    def _check_limits(self) -> None:
        goal = self._config.goal
        out_of_steps = goal.max_steps is not None and self._counters.steps >= goal.max_steps
        out_of_time = goal.max_seconds is not None and monotonic_s() - self._began >= goal.max_seconds
        self.done = self.done or out_of_steps or out_of_time


def _printed(figures: Figures) -> dict[str, Argument]:
    return {name: f"{value:.6g}" for name, value in figures.items()}
