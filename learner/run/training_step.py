"""One training step: turns the accepted entries into a batch, updates the parameters, and reports the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..algorithms.batch import collate

if TYPE_CHECKING:
    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory
    from ..algorithms.trainer import Trainer
    from ..ingest.batcher import Batcher
    from ..metrics.update_metrics import Metrics


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The result of one update: the trajectories that were trained on, and the metrics."""

    trajectories: list[tuple[Header, Trajectory]]  # in the order of the batch
    steps: int  # valid ones
    games: int
    metrics: Metrics


def train(trainer: Trainer, batcher: Batcher, version: int) -> TrainingStep:
    """Update the trainer's parameters on the entries that the batcher has accepted.

    Args:
        trainer: changed by the update.
        batcher: has at least one accepted entry.
        version: the current version, from which staleness is counted.

    Raises:
        NonFinite: if a loss or a gradient is not finite. The trainer is unchanged then.
    """
    accepted = batcher.in_order()
    # The staleness of an imported trajectory is unknown, but at least 1: the newest version did not play it.
    staleness = [1 if header.imported else version - header.version for header, _ in accepted]
    batch = collate([trajectory for _, trajectory in accepted], staleness)
    rejected_steps = sum(entry.header.steps for entry, _ in batcher.rejected if entry.header is not None)
    produced = sum(header.steps for header, _ in accepted) + rejected_steps
    p50, p95, top = np.percentile(staleness, [50, 95, 100])
    metrics = {
        **trainer.update(batch),
        "batch_steps": batch.steps,
        "batch_games": batch.games,
        "batch_staleness_p50": float(p50),
        "batch_staleness_p95": float(p95),
        "batch_staleness_max": float(top),
        # Steps that the optimizer processed per step that was played (OpenAI Five, arXiv 1912.06680, section 4.2).
        "sample_reuse": trainer.passes * batch.steps / max(produced, 1),
    }
    return TrainingStep(accepted, batch.steps, batch.games, metrics)
