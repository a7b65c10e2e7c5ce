"""The run's state in the learner's memory: what every commit writes, and what a snapshot restores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...common.process.log import Log
from ...common.server.server_clock import ServerClock
from ...common.wire.weights import Pointer, digest
from ..algorithms.trainer import Trainer
from ..commit.commit import PlanChange
from ..ingest.admission import rejection, staleness_limit
from ..ingest.batcher import Batcher
from ..ledger.counters import REJECTIONS, Counters
from ..ledger.head import Head, Standing, next_head
from ..metrics.clipped_observations import ClippedObservations
from ..metrics.rejected_share import Arrived, RejectedShare
from ..metrics.run_metrics import History
from ..metrics.stale_actors import StaleActors
from ..persistence.run_snapshot import LearnerState, RunSnapshot, encode_learner, expect_learner_state
from .best_version import BestVersion
from .collapse_response import CollapseResponse
from .commit_builder import build_commit
from .run_statistics import RunStatistics
from .training_step import train

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ...common.server.streams import Argument
    from ...common.spec import RunSpec
    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory
    from ..algorithms.trainer import WarmStart
    from ..commit.commit import Commit
    from ..config import LearnerConfig
    from ..ledger.counters import Rejection
    from ..ledger.stream_entry import Cursors, Entry
    from ..metrics.update_metrics import Metrics
    from .best_version import Chosen

_log = Log("learner")

_DEPARTED_KEPT = 4096  # cursors, 40 bytes each in every commit's learner state


class RunState:
    """The state of a run: initialised from the run's seed, or restored by `resume` from a snapshot.

    `standing` has the head on which the next commit builds: that of the last commit that was built here, which Redis
    may not have executed yet. `LastKnownState` has the last commit that is known to have succeeded.
    """

    def __init__(self, name: str, spec: RunSpec, config: LearnerConfig, clock: ServerClock | None = None) -> None:
        """Args: clock: by which ages are judged; by default this machine's."""
        self.standing = Standing()
        self.counters = Counters()
        self.cursors: Cursors = {}
        self._given_up: dict[str, int] = {}  # games, by actor, under the incarnation of its cursor
        self.trainer = Trainer(spec, config.algorithm)
        self._spec, self._config, self._clock = spec, config, clock or ServerClock()
        self._history = History()
        self._rejected_share, self._stale_actors = RejectedShare(), StaleActors()
        self._clipped = ClippedObservations()
        self._stale_steps = 0  # of the update that the next commit publishes
        self._statistics = RunStatistics(name, config, self.trainer, self._history, self._clock)
        self._weights = b""  # of the last version
        self._best = BestVersion(config.intake.eval_share)
        self._collapse = CollapseResponse(config.collapse.answer, spec, self.trainer)
        self._candidate: RunSnapshot | None = None  # of the version that is evaluated
        # Of the last commit: the evaluation that it completes, and the snapshot of its version if that is the best.
        self.chosen: tuple[Chosen, RunSnapshot | None] | None = None

    def resume(self, snapshot: RunSnapshot) -> None:
        """Continue from a stored state.

        Raises:
            WireError: if the state was not written by a learner of this version. This object may not be used then.
            LineageLost: if it is of another commit. ConfigError: if it is of another algorithm.
        """
        state = snapshot.learner_state()
        with expect_learner_state():
            self.trainer.restore(snapshot.params(self._spec), state.trainer)
            self._history.restore(state.history)
            if state.evaluations:
                self._best.restore(state.evaluations)
                self._best.interrupted()
            self._collapse.restore(state.collapse, snapshot.restore_point)
        self.cursors, self.counters, self._weights = state.cursors, snapshot.counters, snapshot.weights
        self._given_up = state.given_up
        limit = self._history.versions_passed.limit
        self.standing = Standing(snapshot.head, state.lineage, limit, self._collapse.oldest_version)
        self._statistics.resumed_at(self.counters.steps, snapshot.head.version)

    def forget_moments(self) -> None:
        """Let the next batch replace the moments of observations and value targets. The next commit stores that."""
        self.trainer.forget_moments()
        self._collapse.forget()  # the states that it keeps have the old ones

    def start_from(self, warm_start: WarmStart) -> None:
        """Use the parameters of a warm start for the first version."""
        self.trainer.start_from(warm_start)

    @property
    def head(self) -> Head:
        """The head of `standing`."""
        return self.standing.head

    @property
    def best(self) -> Pointer | None:
        """The best version by greedy games; None if none was chosen."""
        return self._best.plan.best

    @property
    def solved(self) -> bool:
        """Whether the last hundred games, in the order in which they began, reached the return that was asked for."""
        return self._statistics.solved

    def rejection(self, header: Header) -> Rejection | None:
        """Why an entry would be rejected if it were put into a batch now. For any thread: see `Standing`."""
        return rejection(header, self.standing, self._clock.now_ms(), self._config.intake)

    def new_batcher(self) -> Batcher:
        """An empty batcher, for the next commit."""
        return Batcher(self._config.intake, self.cursors, self._given_up)

    def train(self, batcher: Batcher) -> Metrics:
        """Make one update on the accepted entries, and return its metrics.

        Raises NonFinite if the update is not finite. Nothing has changed then.
        """
        step = train(self.trainer, batcher, self.head.version)
        self._clipped.look(((actor, played) for _, actor, _, played in batcher.accepted), self.trainer.clipped_to)
        now_ms = self._clock.now_ms()
        for (header, _), staleness in zip(step.trajectories, step.staleness, strict=True):
            self._history.accept(header, staleness, now_ms)
        self._stale_steps = step.stale_steps
        self.counters = self.counters.add(
            updates=1,
            accepted=len(step.trajectories),
            imported=sum(header.imported for header, _ in step.trajectories),
            steps=step.steps,
            stale_steps=step.stale_steps,
            games=step.games,
        )
        self._statistics.trained_to(self.counters.steps)
        return step.metrics

    def update(self, metrics: Metrics) -> dict[str, Any]:
        """The update that the last commit is of, for the run's record; see `RunStatistics.update`."""
        return self._statistics.update(self.head, self.counters, metrics, self._collapse.counts())

    def resumed(self) -> dict[str, Argument]:
        """The fields of `stats` by which is seen that a learner goes on, before its first commit."""
        return self._statistics.resumed()

    def fallen_rate(self) -> dict[str, Argument]:
        """The field of `stats` for the rate of training, if it is to be written although there is no commit."""
        return self._statistics.fallen_rate()

    def gauges(self, actors: int) -> dict[str, Argument]:
        """The fields of `stats` that commits write only now and then, as of the last commit."""
        return self._statistics.gauges(actors, self._more_gauges, self._best)

    def note_short_batch(self, batcher: Batcher, waited_s: float, *, nobody_left: bool) -> None:
        """The next update is on less than was asked for; to be called before `train`.

        Args:
            batcher: what it is on.
            waited_s: for how long the rest was waited for.
            nobody_left: whether no actor is left that could send it; else it took too long.
        """
        intake = self._config.intake
        if not self.counters.short_batches:
            reason = (
                "no actor is left"
                if nobody_left
                else "choose a smaller batch_steps or batch_games, run more actors, or raise batch_wait"
            )
            _log.warning(
                f"batch trained on before it was complete: {reason}",
                steps=batcher.steps,
                batch_steps=intake.batch_steps,
                games=batcher.games,
                batch_games=intake.batch_games,
                waited_s=round(waited_s, 1),
            )
        self.counters = self.counters.add(short_batches=1)

    def first_version(self, parent: Head, epoch: int) -> tuple[Commit, RunSnapshot]:
        """The commit that opens an epoch: the first epoch of the run, or the next one after a lineage was lost.

        Without a new epoch, entries played with lost versions could be taken for entries of new versions. The cursors
        are kept: the actors continue their sequences, and entries that they send again may have been consumed before.
        """
        head = replace(next_head(parent, publish=True), epoch=epoch, version=self.head.version + 1)
        self.chosen = None
        self._collapse.save_again()
        return self._commit(parent, head, self.new_batcher(), {}, publish=True, actors=0)

    def commit(self, batcher: Batcher, metrics: Metrics | None, actors: Collection[str]) -> tuple[Commit, RunSnapshot]:
        """The commit that consumes everything in the batcher. It publishes a version if there was an update.

        Args:
            batcher: holds the consumed entries.
            metrics: of the update; None if nothing was trained.
            actors: the actors whose streams are read.

        Returns:
            The commit, and the run's state after the commit.
        """
        self._note_rejected(batcher, actors)
        chosen = self._best.arrive(self._history.arrive(batcher.arrived, actors, self._clock.now_ms()))
        # In lock step those that were trained on, in the batch's order: when games arrived differs from run to run.
        self._collapse.arrive(_games(batcher.in_order()) if self._spec.rollout.lock_step else self._history.added)
        self.chosen = None if chosen is None else (chosen, self._candidate if chosen.is_best else None)
        ours = [header for _, header in batcher.arrived if not header.evaluation and header.epoch == self.head.epoch]
        self._history.versions_passed.arrive(ours)
        rejected = {name: sum(reason == name for _, reason in batcher.rejected) for name in REJECTIONS}
        self.counters = self.counters.add(
            **rejected,
            overflow=batcher.overflow,
            lost=batcher.lost,
            evaluation_entries=len(batcher.evaluated),
            evaluation_games=sum(header.games for _, _, header in batcher.evaluated),
        )
        self.cursors = remembered(batcher.cursors, {*actors, *batcher.consumed})
        self._given_up = {actor: games for actor, games in batcher.given_up.items() if actor in self.cursors}
        publish = metrics is not None
        head = next_head(self.head, publish=publish)
        return self._commit(self.head, head, batcher, metrics or {}, publish=publish, actors=len(actors))

    def _note_rejected(self, batcher: Batcher, actors: Collection[str]) -> None:
        """Note how much of what arrived is too old, for a warning where it is much."""
        steps = {"stale": self._stale_steps, "too_old": 0}
        gone_back = [entry for entry, reason in batcher.rejected if reason == "stale" and self._is_of_before(entry)]
        self._collapse.pass_over(len(gone_back))
        for entry, reason in batcher.rejected:
            if entry.header is not None and reason in steps and not self._is_of_before(entry):
                steps[reason] += entry.header.steps
                self._history.reject(entry.header, self.head.version)
        arrived = sum(header.steps for _, header in batcher.arrived if not header.evaluation)
        self._rejected_share.add(Arrived(arrived, **steps), self._staleness_limit, self._config.intake.max_age)
        results = [(actor, False) for _, actor, *_ in batcher.accepted]
        stale = (entry for entry, reason in batcher.rejected if reason == "stale" and not self._is_of_before(entry))
        results += [(entry.actor, True) for entry in stale]
        self._stale_actors.add(results, actors, self._staleness_limit)
        self._stale_steps = 0

    def _is_of_before(self, entry: Entry) -> bool:
        """Whether an entry was played before the run went back to an earlier state: that is no fault of its actor's."""
        return entry.header is not None and entry.header.versions[1] < self.standing.oldest_version

    @property
    def _staleness_limit(self) -> int:
        return staleness_limit(self.standing, self._config.intake)

    @property
    def _more_gauges(self) -> dict[str, Argument]:
        return {
            "staleness_limit": self._staleness_limit,
            "warning_rejected": self._rejected_share.warning,
            "warning_stale_actors": self._stale_actors.warning,
            **self._collapse.gauges(),
        }

    def _commit(
        self, parent: Head, head: Head, batcher: Batcher, metrics: Metrics, *, publish: bool, actors: int
    ) -> tuple[Commit, RunSnapshot]:
        passed = self._history.versions_passed
        if publish:
            passed.published(head.version, self._clock.now_ms())
            self._collapse.publish(head)
            self._weights = self.trainer.weights()
        self.standing = self.standing.after(
            head, publish=publish, max_staleness=passed.limit, oldest_version=self._collapse.oldest_version
        )
        plan = self._plan(head, publish=publish)
        state = LearnerState(
            *(self.trainer.state(), self._history.state(), self.cursors, self.standing.lineage, self._given_up),
            self._best.state() if self._best.known else {},
            self._collapse.state(),
        )
        learner = encode_learner(head, state)
        commit = build_commit(
            *(parent, head, batcher, metrics),
            learner=learner,
            weights=self._weights if publish else None,
            counters=self.counters,
            stats=self._statistics.fields(head, self.counters, metrics, actors, self._more_gauges, self._best),
            plan=plan,
            restore_point=self._collapse.take_unsaved(),
        )
        snapshot = RunSnapshot(head, self.counters, learner, self._weights, self._collapse.stored)
        if plan is not None and plan.new_candidate:
            self._candidate = snapshot
        return commit, snapshot

    def _plan(self, head: Head, *, publish: bool) -> PlanChange | None:
        """The plan for greedy games; a version that is published may be the next candidate."""
        new_candidate = publish and self._best.wants_candidate
        if new_candidate:
            weights = self._weights
            self._best.begin(
                Pointer(head.epoch, head.version, head.commit, digest(weights), len(weights)), self.counters.steps
            )
        if not self._best.known:
            return None
        is_best = self.chosen is not None and self.chosen[0].is_best
        return PlanChange(self._best.plan, new_candidate, is_best)


def _games(entries: Iterable[tuple[Header, Trajectory]]) -> list[tuple[int, float]]:
    """The games that ended in entries that were trained on: the version, or the oldest of several, and the return."""
    return [
        (header.version, total) for header, _ in entries if not header.imported for total in header.episodes.returns
    ]


def remembered(cursors: Cursors, reading: Collection[str], departed_kept: int = _DEPARTED_KEPT) -> Cursors:
    """The cursors without those of the actors that departed longest ago.

    Cursors of departed actors are needed, because an actor that was suspended and struck off may come back and send
    entries again that were consumed before.

    Args:
        cursors: actor to the last id consumed.
        reading: actors whose cursors are all kept.
        departed_kept: the maximum number of other actors whose cursors are kept.
    """
    departed = sorted(cursors.keys() - reading, key=cursors.__getitem__)
    forgotten = set(departed[: max(len(departed) - departed_kept, 0)])
    return {actor: entry_id for actor, entry_id in cursors.items() if actor not in forgotten}
