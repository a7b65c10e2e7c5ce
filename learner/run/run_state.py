"""The run's state in the learner's memory: what every commit writes, and what a snapshot restores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...common.process.clock import now_ms
from ..algorithms.trainer import Trainer
from ..ingest.admission import rejection
from ..ingest.batcher import Batcher
from ..ledger.counters import REJECTIONS, Counters
from ..ledger.head import Head, Standing, next_head
from ..metrics.run_metrics import History
from ..persistence.run_snapshot import LearnerState, RunSnapshot, encode_learner, expect_learner_state
from .commit_builder import build_commit
from .run_statistics import RunStatistics
from .training_step import train

if TYPE_CHECKING:
    from collections.abc import Collection

    from ...common.spec import RunSpec
    from ...common.wire.trajectory import Header
    from ..algorithms.trainer import WarmStart
    from ..commit.commit import Commit
    from ..config import LearnerConfig
    from ..ledger.counters import Rejection
    from ..ledger.stream_entry import Cursors
    from ..metrics.update_metrics import Metrics

_DEPARTED_KEPT = 4096  # cursors, 40 bytes each in every commit's learner state


class RunState:
    """Fresh from the run's seed, until `resume` puts it where a commit left it.

    `standing` is where the next commit starts from: the head of the last commit that was built here, which may still
    be on its way to Redis. What is known to have gone through, `LastKnownState` says.
    """

    def __init__(self, name: str, spec: RunSpec, config: LearnerConfig) -> None:
        self.standing = Standing()
        self.counters = Counters()
        self.cursors: Cursors = {}
        self.trainer = Trainer(spec, config.algorithm)
        self._spec, self._config = spec, config
        self._history = History()
        self._statistics = RunStatistics(name, config, self.trainer, self._history)
        self._weights = b""  # of the last version

    def resume(self, snapshot: RunSnapshot) -> None:
        """Go on from a stored state.

        Raises:
            WireError: if the state is not what a learner of this version wrote; nothing restored may be used then.
            LineageLost: if it is of another commit. ConfigError: if it is of another algorithm.
        """
        state = snapshot.learner_state()
        with expect_learner_state():
            self.trainer.restore(snapshot.params(self._spec), state.trainer)
            self._history.restore(state.history)
        self.cursors, self.counters, self._weights = state.cursors, snapshot.counters, snapshot.weights
        self.standing = Standing(snapshot.head, state.lineage)
        self._statistics.resumed_at(self.counters.steps)

    def start_from(self, warm_start: WarmStart) -> None:
        """Let the first version be one that was learnt elsewhere."""
        self.trainer.start_from(warm_start)

    @property
    def head(self) -> Head:
        """That of `standing`."""
        return self.standing.head

    @property
    def solved(self) -> bool:
        """Whether the last hundred games reached the return that was asked for."""
        return self._statistics.solved

    def rejection(self, header: Header) -> Rejection | None:
        """Why an entry would be rejected if it were put into a batch now. For any thread: see `Standing`."""
        return rejection(header, self.standing, now_ms(), self._config.intake)

    def new_batcher(self) -> Batcher:
        """An empty batcher, for the next commit."""
        return Batcher(self._config.intake, self.cursors)

    def train(self, batcher: Batcher) -> Metrics:
        """One update on what was accepted; returns its metrics. Raises NonFinite, and has changed nothing then."""
        step = train(self.trainer, batcher, self.head.version)
        now = now_ms()
        for header, trajectory in step.trajectories:
            self._history.accept(header, trajectory, self.head.version, now)
        self.counters = self.counters.add(
            updates=1,
            accepted=len(step.trajectories),
            imported=sum(header.imported for header, _ in step.trajectories),
            steps=step.steps,
            games=step.games,
        )
        self._statistics.trained_to(self.counters.steps)
        return step.metrics

    def first_version(self, parent: Head, epoch: int) -> tuple[Commit, RunSnapshot]:
        """The commit that opens an epoch: the run's first, or the one after a lineage that was lost.

        What was played or is on its way with lost versions must not pass for play with the coming ones. The cursors
        stay: actors go on counting, and what they resend from before was consumed before.
        """
        head = replace(next_head(parent, publish=True), epoch=epoch, version=self.head.version + 1)
        return self._commit(parent, head, self.new_batcher(), {}, publish=True, actors=0)

    def commit(self, batcher: Batcher, metrics: Metrics | None, actors: Collection[str]) -> tuple[Commit, RunSnapshot]:
        """The commit of everything taken in; with a new version where there are metrics of an update.

        Args:
            batcher: what was consumed.
            metrics: of the update; None if nothing was trained.
            actors: those being read.

        Returns:
            The commit, and the run as it will be once the commit has gone through.
        """
        for entry, reason in batcher.rejected:
            if entry.header is not None and reason in {"stale", "too_old"}:
                self._history.reject(entry.header, self.head.version)
        rejected = {name: sum(reason == name for _, reason in batcher.rejected) for name in REJECTIONS}
        self.counters = self.counters.add(**rejected, overflow=batcher.overflow)
        self.cursors = remembered(batcher.cursors, {*actors, *batcher.consumed})
        publish = metrics is not None
        head = next_head(self.head, publish=publish)
        return self._commit(self.head, head, batcher, metrics or {}, publish=publish, actors=len(actors))

    def _commit(
        self, parent: Head, head: Head, batcher: Batcher, metrics: Metrics, *, publish: bool, actors: int
    ) -> tuple[Commit, RunSnapshot]:
        self.standing = self.standing.after(head, publish=publish)
        if publish:
            self._weights = self.trainer.weights()
        learner = encode_learner(
            head, LearnerState(self.trainer.state(), self._history.state(), self.cursors, self.standing.lineage)
        )
        commit = build_commit(
            *(parent, head, batcher, metrics),
            learner=learner,
            weights=self._weights if publish else None,
            counters=self.counters,
            stats=self._statistics.fields(head, self.counters, metrics, actors),
        )
        return commit, RunSnapshot(head, self.counters, learner, self._weights)


def remembered(cursors: Cursors, reading: Collection[str], departed_kept: int = _DEPARTED_KEPT) -> Cursors:
    """The cursors without those of the actors that departed longest ago.

    An actor that slept for so long that it was struck off may come back, and send again what was consumed before.

    Args:
        cursors: actor to the last id consumed.
        reading: actors whose cursors are kept in any case.
        departed_kept: how many cursors of other actors are kept.
    """
    departed = sorted(cursors.keys() - reading, key=cursors.__getitem__)
    forgotten = set(departed[: max(len(departed) - departed_kept, 0)])
    return {actor: entry_id for actor, entry_id in cursors.items() if actor not in forgotten}
