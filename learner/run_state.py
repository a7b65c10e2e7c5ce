"""A learner's memory of its run: all that a commit writes, and that a reload puts back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..common.process.clock import Every, now_ms
from ..common.server.streams import format_id
from .algorithms.batch import collate
from .algorithms.trainer import Trainer
from .commit.commit import Commit
from .ingest.batcher import Batcher, rejection
from .ledger.counters import REJECTIONS, Counters
from .ledger.head import Head, next_head
from .ledger.id_ranges import format_ranges
from .ledger.ledger_entry import by_reason
from .metrics.run_metrics import History
from .metrics.throughput import Throughput
from .persistence.run_snapshot import LearnerState, RunSnapshot, encode_learner, expect_learner_state

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..common.server.streams import Argument
    from ..common.spec import RunSpec
    from ..common.wire.trajectory import Header
    from .algorithms.trainer import WarmStart
    from .config import LearnerConfig
    from .ledger.counters import Rejection
    from .ledger.stream_entry import Cursors, Lineage
    from .metrics.update_metrics import Metrics

_DEPARTED_KEPT = 4096  # cursors, 40 bytes each in every commit's learner state
_LINEAGE_MAX = 256  # versions: no actor is further behind without its data being stale in any other way
_GAUGES_EVERY_S = 0.1  # percentiles and means cost more than the counters, and nobody reads them faster


class RunState:
    """Fresh from the run's seed, until `resume` puts it where a commit left it."""

    def __init__(self, name: str, spec: RunSpec, config: LearnerConfig) -> None:
        self.head = Head()
        self.counters = Counters()
        self.cursors: Cursors = {}
        self.lineage: Lineage = {}
        self._name, self._spec, self._config = name, spec, config
        self._trainer = Trainer(spec, config.algorithm)
        self._history = History()
        self._rate = Throughput()
        self._steps_before = 0  # trained by those who came before
        self._weights = b""  # of the last version
        self._gauges_due = Every(_GAUGES_EVERY_S)

    def resume(self, stored: RunSnapshot) -> None:
        """Go on from a stored state.

        Raises:
            WireError: if the state is not what a learner of this version wrote; nothing restored may be used then.
            LineageLost: if it is of another commit. ConfigError: if it is of another algorithm.
        """
        state = stored.learner_state()
        with expect_learner_state():
            self._trainer.restore(stored.params(self._spec), state.trainer)
            self._history.restore(state.history)
        self.cursors, self.lineage = state.cursors, state.lineage
        self.head, self.counters, self._weights = stored.head, stored.counters, stored.weights
        self._steps_before = self.counters.steps

    def start_from(self, origin: WarmStart) -> None:
        """Let the first version be one that was learnt elsewhere."""
        self._trainer.start_from(origin)

    @property
    def solved(self) -> bool:
        """Whether the last hundred games reached the return that was asked for."""
        goal, mean_return = self._config.goal.until_return, self._history.mean_return
        return goal is not None and mean_return is not None and mean_return >= goal

    def rejection(self, header: Header) -> Rejection | None:
        """Why an entry would be rejected if it were taken now."""
        return rejection(header, self.head, now_ms(), self._config.intake, self.lineage)

    def intake(self) -> Batcher:
        """An empty one, for the next commit."""
        return Batcher(self._config.intake, self.cursors, self.lineage)

    def train(self, intake: Batcher) -> Metrics:
        """One update on what was accepted; returns its figures. Raises NonFinite, and has changed nothing then."""
        accepted = intake.in_order()
        # Of what no version of this run played it is only certain that it is not the newest's play.
        staleness = [1 if header.imported else self.head.version - header.version for header, _ in accepted]
        batch = collate([trajectory for _, trajectory in accepted], staleness)
        rejected_steps = sum(entry.header.steps for entry, _ in intake.rejected if entry.header is not None)
        produced = sum(header.steps for header, _ in accepted) + rejected_steps
        p50, p95, top = np.percentile(staleness, [50, 95, 100])
        metrics = {
            **self._trainer.update(batch),
            "batch_steps": batch.steps,
            "batch_games": batch.games,
            "batch_staleness_p50": float(p50),
            "batch_staleness_p95": float(p95),
            "batch_staleness_max": float(top),
            # Steps gone through by the optimizer for each that was played (OpenAI Five, arXiv 1912.06680, section 4.2).
            "sample_reuse": self._trainer.passes * batch.steps / max(produced, 1),
        }
        now = now_ms()
        for header, trajectory in accepted:
            self._history.accept(header, trajectory, self.head.version, now)
        self.counters = self.counters.add(
            updates=1,
            accepted=len(accepted),
            imported=sum(header.imported for header, _ in accepted),
            steps=batch.steps,
            games=batch.games,
        )
        self._rate.add(self.counters.steps)
        return metrics

    def first_version(self, parent: Head, epoch: int) -> tuple[Commit, RunSnapshot]:
        """The commit that opens an epoch: the run's first, or the one after a lineage that was lost.

        What was played or is on its way with lost versions must not pass for play with the coming ones. The cursors
        stay: actors go on counting, and what they resend from before was consumed before.
        """
        self.head = replace(next_head(parent, publish=True), epoch=epoch, version=self.head.version + 1)
        return self._commit(parent, self.intake(), {}, publish=True, actors=0)

    def commit(self, intake: Batcher, metrics: Metrics | None, actors: Collection[str]) -> tuple[Commit, RunSnapshot]:
        """The commit of everything taken in; with a new version where there are figures of an update.

        Args:
            intake: what was consumed.
            metrics: of the update; None if nothing was trained.
            actors: those being read.
        """
        for entry, reason in intake.rejected:
            if entry.header is not None and reason in {"stale", "too_old"}:
                self._history.reject(entry.header, self.head.version)
        rejected = {name: sum(reason == name for _, reason in intake.rejected) for name in REJECTIONS}
        self.counters = self.counters.add(**rejected, overflow=intake.overflow)
        self.cursors = _remembered(intake.cursors, {*actors, *intake.consumed})
        parent, self.head = self.head, next_head(self.head, publish=metrics is not None)
        return self._commit(parent, intake, metrics or {}, publish=metrics is not None, actors=len(actors))

    def _commit(
        self, parent: Head, intake: Batcher, metrics: Metrics, *, publish: bool, actors: int
    ) -> tuple[Commit, RunSnapshot]:
        if publish:
            self._weights = self._trainer.weights()
            same_epoch = self.lineage if parent.epoch == self.head.epoch else {}
            kept = list(same_epoch.items())[-_LINEAGE_MAX:]
            self.lineage = {**dict(kept), self.head.version: self.head.commit}
        learner = encode_learner(
            self.head, LearnerState(self._trainer.state(), self._history.state(), self.cursors, self.lineage)
        )
        commit = Commit(
            parent=parent,
            head=self.head,
            learner=learner,
            weights=self._weights if publish else None,
            counters=self.counters.to_fields(),
            stats=self._stats(metrics, actors),
            entry=_printed(metrics),
            consumed=intake.consumed,
            rejected_ids=by_reason(intake.rejected),
            gaps={actor: format_ranges(gaps) for actor, gaps in intake.gaps.items()},
            rejected_entries=[
                {"actor": e.actor, "id": format_id(e.id), "reason": why, "problem": e.problem, "payload": e.shown}
                for e, why in intake.rejected
                if why in {"invalid", "non_finite", "poison"}
            ],
        )
        return commit, RunSnapshot(self.head, self.counters, learner, self._weights)

    def _stats(self, metrics: Metrics, actors: int) -> dict[str, Argument]:
        stats: dict[str, Argument] = {
            "run": self._name,
            "epoch": self.head.epoch,
            "version": self.head.version,
            "updated_ms": now_ms(),
            "accept_imported": int(self._config.intake.accept_imported),
            "resumed_steps": self._steps_before,
            **self.counters.to_fields(),
            **_printed(metrics),
        }
        if self._gauges_due.due() or self.solved:
            stats |= {
                **_printed(self._history.metrics()),
                "steps_per_second": f"{self._rate.per_second():.0f}",
                "actors": actors,
                **{name: json.dumps(value) for name, value in self._history.rejections().items()},
                **{name: str(value) for name, value in self._trainer.describe().items()},
            }
        if self.solved:
            stats["solved_ms"] = now_ms()
        return stats


def _remembered(cursors: Cursors, reading: Collection[str]) -> Cursors:
    """The cursors without those of the actors that departed longest ago.

    One that slept for so long that it was struck off may come back, and send again what was consumed before.
    """
    departed = sorted(cursors.keys() - reading, key=cursors.__getitem__)
    forgotten = set(departed[: max(len(departed) - _DEPARTED_KEPT, 0)])
    return {actor: entry_id for actor, entry_id in cursors.items() if actor not in forgotten}


def _printed(metrics: Metrics) -> dict[str, Argument]:
    return {name: f"{value:.6g}" for name, value in metrics.items()}
