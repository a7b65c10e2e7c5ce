"""A learner's work over one unbroken connection to the run: take in entries, train, commit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.errors import ConfigError
from ..common.process.clock import Every, monotonic_s, now_ms
from ..common.process.log import Log
from ..common.server.keys import Keys
from ..common.server.streams import Server
from .commit.commit_thread import Committer
from .ingest.batcher import Batcher
from .ingest.fenced_read import FencedReads
from .ingest.stream_reader import Ingest
from .ledger.head import Head
from .metrics.update_metrics import NonFinite
from .persistence.archive_writer import Archive, archived
from .persistence.checkpoints import Checkpoints
from .persistence.run_snapshot import RunSnapshot, committed_on, load_snapshot
from .persistence.run_spec import agree_on_spec
from .run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..common.process.shutdown import Stop
    from ..common.spec import RunSpec
    from .algorithms.trainer import WarmStart
    from .commit.commit import Commit
    from .commit.lease import Lease
    from .config import LearnerConfig
    from .ledger.stream_entry import Entry
    from .metrics.update_metrics import Metrics
    from .persistence.last_known_state import LastKnownState

_log = Log("learner")

_TAKE_S = 0.05  # how long to wait for an entry before looking at the clock and the stop flag again
_REJECTED_WAIT_S = 0.25  # how long a rejected entry may keep its place in its actor's backlog
_STANDSTILL_S = 0.5  # how long all actors may be blocked before a batch goes without what it still lacks


class Session:
    """A learner's work over one unbroken sight of the run: all that it has in memory follows from what it loaded."""

    def __init__(
        self, url: str, run: str, spec: RunSpec, config: LearnerConfig, lease: Lease, known: LastKnownState
    ) -> None:
        self._spec, self._config, self._lease, self._known = spec, config, lease, known
        self._keys = Keys(run)
        self._server = Server(url)
        self._run = RunState(run, spec, config)
        self._intake = Batcher(config.intake, {})
        self._rejected_since_s: float | None = None
        self._committer = Committer(Server(url), self._keys, lease, known)
        capacity = 2 * max(config.intake.batch_steps, 1)
        self._archive = Archive(config.archive, run, spec) if config.archive else None
        self._taken: list[Entry] = []  # since the last commit, for the archive
        keep = self._archive is not None
        reads = FencedReads(Server(url), self._keys, lease)
        self._ingest = Ingest(
            Server(url), reads, self._keys, lease, spec, self._run.rejection, capacity, keep_payloads=keep
        )
        self._checkpoints = Checkpoints(Path(config.checkpoint_dir)) if config.checkpoint_dir else None
        self._checkpoint_due = Every(config.checkpoint_every_s)

    def open(self, stop: Stop, origin: WarmStart | None = None) -> bool:
        """Take the lease, find out where the run stands, and start to read.

        Args:
            stop: ends the wait for another learner's lease.
            origin: what a new run starts from.

        Returns:
            False if told to stop while another learner held the lease.
        """
        first = self._known.settled is None
        if not self._lease.acquire(self._server, stop, self._config.lease_wait_s):
            return False
        agree_on_spec(self._server, self._keys, self._spec)
        stored = load_snapshot(self._server, self._keys)
        if first and origin is not None:
            self._start_from(origin, stored)
        if stored is not None:
            self._resume(stored)
        else:
            self._seed()
        self._intake = self._run.intake()
        self._checkpoint_due.due()
        self._ingest.start(after_death=first)
        return True

    def step(self) -> None:
        """Take in what there is; train when it is enough for an update."""
        self._committer.look()
        entry = self._ingest.take(_TAKE_S)
        if entry is not None and entry.processed_solo:
            self._commit_solo(entry)
        elif entry is not None:
            self._take_in(entry)
            if self._intake.rejected and self._rejected_since_s is None:
                self._rejected_since_s = monotonic_s()
        nothing_more_comes = entry is None and self._ingest.blocked_s > _STANDSTILL_S
        if self._intake.complete or (self._intake.accepted and nothing_more_comes):
            self._commit(self._train())
        elif self._rejected_for_long() and not self._intake.accepted:
            self._commit(None)

    def reached_its_goal(self, began_s: float) -> bool:
        """Whether there is nothing left to do."""
        goal = self._config.goal
        out_of_steps = goal.max_steps is not None and self._run.counters.steps >= goal.max_steps
        out_of_time = goal.max_seconds is not None and monotonic_s() - began_s >= goal.max_seconds
        return self._run.solved or out_of_steps or out_of_time

    def close(self) -> None:
        """Finish the commit under way, stop reading, keep a checkpoint, give the lease back: in this order.

        The lease comes last, so that a successor finds everything finished.
        """
        self._committer.settle()
        self._ingest.close()
        self._ingest.give_back()
        self._save_checkpoint()
        if self._archive is not None:
            self._archive.close()
        self._lease.release(self._server)
        self._let_go()

    def abandon(self) -> None:
        """Let go of everything after an error: what was not committed is still in Redis."""
        self._ingest.close()
        self._let_go()

    def _let_go(self) -> None:
        self._committer.close()
        if self._archive is not None:
            self._archive.close()
        self._server.close()

    def _start_from(self, origin: WarmStart, stored: RunSnapshot | None) -> None:
        """Only a run that there is nothing of yet: another one's work would be overwritten, or the file ignored."""
        if stored is None and self._checkpoints is not None:
            stored = self._checkpoints.newest(self._spec)
        if stored is not None:
            raise ConfigError(
                f"init-from: run {self._keys.run} is at version {stored.head.version}, expected a new one; "
                "choose another --run, or leave --init-from away to go on"
            )
        self._run.start_from(origin)

    def _resume(self, stored: RunSnapshot) -> None:
        self._run.resume(stored)
        _log.info("resumed", run=self._keys.run, epoch=stored.head.epoch, version=stored.head.version)
        same_server = committed_on(self._server, self._keys) == self._lease.server_id
        if self._known.may_have_lost(stored.head, same_server=same_server):
            _log.warning("redis may have come back older", epoch=stored.head.epoch, version=stored.head.version)
            self._open_epoch(stored.head, self._known.next_epoch(stored.head))
        else:
            self._known.loaded(stored)

    def _seed(self) -> None:
        """Fill an empty Redis: from memory, from a checkpoint, or with a new run."""
        # What was sent and not confirmed is as good as committed: its entries are gone like the rest, or get rejected.
        lost = self._known.sent
        if lost is None and self._checkpoints is not None:
            lost = self._checkpoints.newest(self._spec)
        if lost is not None:
            self._run.resume(lost)
            _log.info("redis was empty, seeding it", run=self._keys.run, version=lost.head.version)
        self._open_epoch(Head(), self._known.next_epoch(self._run.head))

    def _open_epoch(self, parent: Head, epoch: int) -> None:
        self._committer.submit(*self._run.first_version(parent, epoch))
        self._committer.settle()
        self._save_checkpoint()  # at once: who seeds an empty Redis from an older one would open this epoch again

    def _train(self) -> Metrics | None:
        try:
            return self._run.train(self._intake)
        except NonFinite as error:
            _log.warning("update rejected, its batch set aside", error=error, entries=len(self._intake.accepted))
            self._intake.reject_accepted(str(error))
            return None

    def _take_in(self, entry: Entry) -> None:
        self._intake.add(entry, self._run.head, now_ms())
        if self._archive is not None:
            self._taken.append(entry)

    def _commit_solo(self, entry: Entry) -> None:
        """First what is in hand, then this entry by itself: whatever it does, nothing else is at risk."""
        self._commit_what_is_in_hand()
        self._take_in(entry)
        self._commit_what_is_in_hand()

    def _commit_what_is_in_hand(self) -> None:
        if self._intake.consumed:
            self._commit(self._train() if self._intake.accepted else None)
            self._committer.settle()

    def _commit(self, metrics: Metrics | None) -> None:
        if metrics is not None and self._committer.took_ms is not None:
            metrics = {**metrics, "commit_ms": self._committer.took_ms}
        commit, stored = self._run.commit(self._intake, metrics, self._ingest.actors)
        self._committer.submit(commit, stored, self._archiving(commit))
        if self._checkpoint_due.due():
            self._save_checkpoint()
        self._intake = self._run.intake()
        self._rejected_since_s = None

    def _archiving(self, commit: Commit) -> Callable[[], None] | None:
        """What keeps the entries that a commit consumes, to be called once it has gone through."""
        if self._archive is None:
            return None
        taken, self._taken = self._taken, []
        return partial(self._archive.append, archived(taken, self._intake.rejected, commit.head))

    def _rejected_for_long(self) -> bool:
        return self._rejected_since_s is not None and monotonic_s() - self._rejected_since_s > _REJECTED_WAIT_S

    def _save_checkpoint(self) -> None:
        """Of what has gone through, not of what is about to."""
        if self._checkpoints is None or self._known.settled is None:
            return
        try:
            self._checkpoints.save(self._known.settled, self._spec)
        except OSError as error:  # Redis has it all the same: a full disk is no reason to end a run
            _log.warning("checkpoint not written", error=error)
