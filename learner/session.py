"""A session: the learner's work over one unbroken connection to the run. It takes entries in, trains, and commits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING

from ..common.errors import ConfigError
from ..common.process.clock import Every, monotonic_s
from ..common.process.log import Log
from ..common.server.keys import Keys
from ..common.server.server_clock import ServerClock
from ..common.server.streams import Script, Server
from ..common.wire.weights import digest
from .commit.commit_thread import CommitThread
from .commit.gauges import write_gauges
from .commit.lease import fenced
from .commit.lease_keeper import LeaseKeeper
from .flow.flow import Flow
from .ingest.admission import staleness_limit
from .ingest.fenced_read import FencedReads
from .ingest.ingest_thread import IngestThread
from .ingest.stream_reader import StreamReader
from .ledger.head import Head
from .metrics.update_metrics import NonFinite
from .persistence.archive_writer import Archive, archived
from .persistence.checkpoints import Checkpoints
from .persistence.run_snapshot import RunSnapshot, committed_on, load_snapshot
from .persistence.run_spec import agree_on_spec, store_configuration
from .roster.arrival import wait_for_actors
from .run.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..common.process.shutdown import Stop
    from ..common.spec import RunSpec
    from .algorithms.trainer import WarmStart
    from .commit.commit import Commit
    from .commit.lease import Lease
    from .config import LearnerConfig
    from .ledger.stream_entry import Entry
    from .metrics.update_metrics import Metrics
    from .persistence.last_known_state import LastKnownState
    from .persistence.recorder import Recorder

_RESTORE_BEST = Script(files(f"{__package__}.commit").joinpath("restore_best.lua").read_text())
_log = Log("learner")

_TAKE_S = 0.05  # how long to wait for an entry before checking the goal and the stop flag again
_REJECTED_WAIT_S = (
    0.25  # how long an entry that is not trained on may stay in its actor's stream before a commit removes it
)
_STANDSTILL_S = 0.5  # how long all actors in lock step may wait before a batch goes without what it still lacks
_NOBODY_LEFT_S = 2.0  # the same where all have left; some may be about to come back


class Session:
    """The work of one learner, from taking the lease to the loss of its connection or to its end.

    Everything that a session has in memory follows from what it loaded, or from commits that have succeeded. Its parts
    are public, and so are the methods that `step` calls: the model checker in the tests calls them one at a time.
    """

    def __init__(
        self,
        url: str,
        run: str,
        spec: RunSpec,
        config: LearnerConfig,
        lease: Lease,
        last_known: LastKnownState,
        recorder: Recorder | None = None,
    ) -> None:
        self.lease, self.last_known = lease, last_known
        self.clock = ServerClock()
        self.state = RunState(run, spec, config, self.clock)
        self.batcher = self.state.new_batcher()
        self.commit_thread = CommitThread(Server(url), Keys(run), lease, last_known)
        self._spec, self._config, self._recorder = spec, config, recorder
        self._keys = Keys(run)
        self._server = Server(url)
        self._rejected_since_s: float | None = None
        self._waits_since_s: float | None = None  # for the rest of a batch that has begun
        self.flow = Flow(config.intake)
        self._archive = Archive(config.archive, run, spec) if config.archive.archive else None
        self._taken: list[Entry] = []  # entries since the last commit, for the archive
        reader = StreamReader(
            Server(url),
            FencedReads(Server(url), self._keys, lease),
            self._keys,
            lease,
            spec,
            self.state.rejection,
            capacity_steps=2 * max(config.intake.batch_steps, 1),
            flow=self.flow,
            admits=config.intake.admits,
            trim_unread=config.intake.trim_unread,
            keep_payloads=self._archive is not None,
            after_death=last_known.settled is None,  # otherwise this process read them, and is alive
        )
        self.ingest = IngestThread(reader, config.intervals.strike_off_s)
        self._lease_keeper = LeaseKeeper(Server(url), lease)
        kept = config.checkpointing
        self._checkpoints = Checkpoints(kept.checkpoint_dir, kept.checkpoints_kept) if kept.checkpoint_dir else None
        self._checkpoint_due = Every(kept.checkpoint_every)

    def open(self, stop: Stop, warm_start: WarmStart | None = None) -> bool:
        """Take the lease, load the run's state or create it, and start to read.

        Args:
            stop: ends the wait for another learner's lease.
            warm_start: the parameters that a new run starts with; None: random ones.

        Returns:
            False if a stop was requested while another learner held the lease, or before enough actors were there.
        """
        if not self.prepare(stop, warm_start, keep_lease=True):
            return False
        self.ingest.start()
        return True

    def prepare(self, stop: Stop, warm_start: WarmStart | None = None, *, keep_lease: bool = False) -> bool:
        """Like `open`, without starting to read, and without renewing the lease unless `keep_lease` says so."""
        first = self.last_known.settled is None
        if not self.lease.acquire(self._server, stop, self._config.lease.wait_s):
            return False
        if keep_lease:  # from now on: over a slow link the first commit may take longer than the lease lives
            self._lease_keeper.start()
        self.clock.measure(self._server.call)
        agree_on_spec(self._server, self._keys, self._spec)
        if self._config.record:
            store_configuration(self._server, self._keys, self._config.record)
        # Before a version: who finds one and no demand would send more than is trained on before it is stale.
        self.ingest.reader.publish_demand()
        if first and not self._enough_actors(stop):
            self.lease.release(self._server)
            return False
        snapshot = load_snapshot(self._server, self._keys)
        if first and warm_start is not None:
            self._start_from(warm_start, snapshot)
        if snapshot is not None:
            self._resume(snapshot)
        else:
            self._seed()
        self._restore_best()
        if self._config.checkpointing.reset_moments and not self.last_known.moments_reset:
            self._reset_moments()
        self.batcher = self.state.new_batcher()
        self._checkpoint_due.due()
        return True

    def step(self) -> None:
        """Take in the next entry, if there is one. Train and commit if there are enough entries for an update."""
        self._lease_keeper.check()
        self.commit_thread.look()
        self.clock.keep(self._server.call)
        if rate := self.state.fallen_rate():
            write_gauges(self._server, self._keys, self.lease, rate)
        entry = self.ingest.take(_TAKE_S)
        if entry is not None and entry.processed_solo:
            self._commit_solo(entry)
        elif entry is not None:
            self.take_in(entry)
            if self.batcher.has_leftovers and self._rejected_since_s is None:
                self._rejected_since_s = monotonic_s()
        if self.batcher.complete or (entry is None and self.batcher.accepted and self._nothing_more_comes()):
            self.commit(self.train())
        elif self._rejected_for_long() and not self.batcher.accepted:
            self.commit(None)

    def take_in(self, entry: Entry) -> None:
        """Put an entry into the batch that is being collected."""
        self.batcher.add(entry, self.state.standing, self.clock.now_ms())
        if self._archive is not None and not (entry.header is not None and entry.header.evaluation):
            self._taken.append(entry)

    def train(self) -> Metrics | None:
        """Make an update on the accepted entries, and return its metrics.

        If the update is not finite, its batch is rejected, and the result is None.
        """
        try:
            return self.state.train(self.batcher)
        except NonFinite as error:
            _log.warning("update undone, its batch rejected", error=error, entries=len(self.batcher.accepted))
            self.batcher.reject_accepted(str(error))
            return None

    def commit(self, metrics: Metrics | None) -> None:
        """Submit the commit of everything taken in to the commit thread, and begin a new batch.

        Args:
            metrics: of the update; None if nothing was trained.
        """
        if metrics is not None and self.commit_thread.took_ms is not None:
            metrics = {**metrics, "commit_ms": self.commit_thread.took_ms}
        commit, snapshot = self.state.commit(self.batcher, metrics, self.ingest.actors)
        self.commit_thread.submit(commit, snapshot, self._after(commit, metrics))
        counts = {actor: count for actor, (_, count) in self.batcher.consumed.items()}
        limit = staleness_limit(self.state.standing, self._config.intake)
        self.flow.consumed(counts, trained=metrics is not None, staleness_limit=limit)
        if self._checkpoint_due.due():
            self._save_checkpoint()
        self.batcher = self.state.new_batcher()
        self._rejected_since_s = self._waits_since_s = None

    def reached_its_goal(self, began_s: float) -> bool:
        """Whether a goal is reached, for a process that began at `began_s`."""
        goal = self._config.goal
        out_of_steps = goal.max_steps is not None and self.state.counters.steps >= goal.max_steps
        out_of_time = goal.max_seconds is not None and monotonic_s() - began_s >= goal.max_seconds
        return self.state.solved or out_of_steps or out_of_time

    def _nothing_more_comes(self) -> bool:
        """Whether to train on a batch that is incomplete, where nothing is left to take."""
        if self._spec.rollout.lock_step:
            return self.ingest.blocked_s > _STANDSTILL_S
        max_steps = self._config.goal.max_steps
        if max_steps is not None and self.state.counters.steps + self.batcher.played_steps >= max_steps:
            return True
        if self._waits_since_s is None:
            self._waits_since_s = monotonic_s()
        waited_s, most_s = monotonic_s() - self._waits_since_s, self._config.intake.wait_s
        nobody_left = self.ingest.blocked_s > _NOBODY_LEFT_S
        if waited_s < most_s and not nobody_left:
            return False
        self.state.note_short_batch(self.batcher, waited_s, nobody_left=nobody_left)
        return True

    def close(self) -> None:
        """Finish the commit under way, stop reading, write the last gauges and a checkpoint, and release the lease.

        The lease is released last, so that a successor finds everything finished.
        """
        self.commit_thread.settle()
        self.ingest.close()
        self.ingest.reader.give_back()
        # Else a run's summary has figures of an earlier update beside the counters of the last one.
        write_gauges(self._server, self._keys, self.lease, self.state.gauges(len(self.ingest.actors)))
        self._save_checkpoint()
        if self._archive is not None:
            self._archive.close()
        self._lease_keeper.close()
        self.lease.release(self._server)
        self._let_go()

    def abandon(self) -> None:
        """Close all connections after an error. Entries that were not committed are still in Redis."""
        self.ingest.close()
        self._let_go()

    def _let_go(self) -> None:
        self._lease_keeper.close()
        self.commit_thread.close()
        if self._archive is not None:
            self._archive.close()
        self._server.close()

    def _enough_actors(self, stop: Stop) -> bool:
        """Wait for as many actors as the run shall begin with: before its first version, without which none plays."""

        def follow() -> frozenset[str]:
            self.ingest.reader.follow_roster()
            return self.ingest.actors

        count = self._config.intake.wait_for_actors
        return wait_for_actors(count, follow, self._server, self._keys, stop, self._lease_keeper.check)

    def _start_from(self, warm_start: WarmStart, snapshot: RunSnapshot | None) -> None:
        """Start a new run from a file.

        Raises ConfigError if the run exists: either its work would be overwritten, or the file would be ignored.
        """
        if snapshot is None and self._checkpoints is not None:
            snapshot = self._checkpoints.newest(self._spec)
        if snapshot is not None:
            raise ConfigError(
                f"init-from: run {self._keys.run} is at version {snapshot.head.version}, expected a new one; "
                "choose another --run, or leave --init-from away to continue"
            )
        self.state.start_from(warm_start)

    def _resume(self, snapshot: RunSnapshot) -> None:
        self.state.resume(snapshot)
        self._tell_opened()
        _log.info("resumed", run=self._keys.run, epoch=snapshot.head.epoch, version=snapshot.head.version)
        same_server = committed_on(self._server, self._keys) == self.lease.server_id
        if self.last_known.may_have_lost(snapshot.head, same_server=same_server):
            _log.warning(
                "redis may have lost versions, opening a new epoch",
                epoch=snapshot.head.epoch,
                version=snapshot.head.version,
            )
            self._open_epoch(snapshot.head, self.last_known.next_epoch(snapshot.head))
        else:
            self.last_known.loaded(snapshot)
            write_gauges(self._server, self._keys, self.lease, self.state.resumed())

    def _seed(self) -> None:
        """Fill an empty Redis: from memory, from a checkpoint, or with a new run."""
        # A state that was sent and not confirmed is used too: the entries that it consumed were lost with the rest of
        # Redis, or will be rejected.
        lost = self.last_known.sent
        if lost is None and self._checkpoints is not None:
            lost = self._checkpoints.newest(self._spec)
        if lost is not None:
            self.state.resume(lost)
            _log.info("redis was empty, restoring the run to it", run=self._keys.run, version=lost.head.version)
        self._tell_opened()
        self._open_epoch(Head(), self.last_known.next_epoch(self.state.head))

    def _open_epoch(self, parent: Head, epoch: int) -> None:
        self.commit_thread.submit(*self.state.first_version(parent, epoch))
        self.commit_thread.settle()
        self._save_checkpoint()  # at once: from an older checkpoint, this epoch could be opened again

    def _reset_moments(self) -> None:
        """Commit the run's state with moments that the next batch replaces, without consuming or publishing anything.

        A commit of its own: what is waiting is trained on as usual, and a learner that dies after it has reset them. If
        its reply is lost, the next session makes it again, which changes nothing.
        """
        self.state.forget_moments()
        # No cursor may be forgotten here: which actors are read is not known yet.
        self.commit_thread.submit(*self.state.commit(self.state.new_batcher(), None, self.state.cursors.keys()))
        self.commit_thread.settle()
        self.last_known.moments_reset = True
        _log.info("the next batch replaces the moments of observations and value targets", run=self._keys.run)

    def _restore_best(self) -> None:
        """Publish the best version's weights again, where the server has lost them and the run's record has them."""
        pointer = self.state.best
        if pointer is None or self._recorder is None or self._server.call("EXISTS", self._keys.best):
            return
        weights = self._recorder.best_weights()
        if weights is not None and digest(weights) == pointer.digest:
            fenced(self._server, _RESTORE_BEST, [self._keys.lease, self._keys.best], self.lease.token, weights)

    def _commit_solo(self, entry: Entry) -> None:
        """Commit everything taken in, then this entry alone. If it kills the learner, nothing else is affected."""
        self._commit_what_is_in_hand()
        self.take_in(entry)
        self._commit_what_is_in_hand()

    def _commit_what_is_in_hand(self) -> None:
        if self.batcher.consumed:
            self.commit(self.train() if self.batcher.accepted else None)
            self.commit_thread.settle()

    def _tell_opened(self) -> None:
        if self._recorder is not None:
            self._recorder.opened(self.state.head, self.state.counters.steps)

    def _after(self, commit: Commit, metrics: Metrics | None) -> Callable[[], None] | None:
        """What to do once a commit has succeeded: archive the entries that it consumes, and record its update."""
        to_do: list[Callable[[], None]] = []
        if self._archive is not None:
            taken, self._taken = self._taken, []
            to_do.append(partial(self._archive.append, archived(taken, self.batcher.rejected, commit.head)))
        if self._recorder is not None and metrics is not None:
            to_do.append(partial(self._recorder.updated, self.state.update(metrics)))
        if self._recorder is not None and self.state.chosen is not None:
            chosen, snapshot = self.state.chosen
            best = None if snapshot is None else (replace(snapshot, restore_point=b""), self._spec)
            to_do.append(partial(self._recorder.evaluated, chosen.line, best))
        return partial(_call_each, to_do) if to_do else None

    def _rejected_for_long(self) -> bool:
        return self._rejected_since_s is not None and monotonic_s() - self._rejected_since_s > _REJECTED_WAIT_S

    def _save_checkpoint(self) -> None:
        """Write a checkpoint of the last commit that has succeeded. A commit under way is not in it."""
        if self._checkpoints is None or self.last_known.settled is None:
            return
        try:
            self._checkpoints.save(self.last_known.settled, self._spec)
        except OSError as error:  # the run continues, because Redis has the state too
            _log.warning("checkpoint not written", error=error)


def _call_each(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()
