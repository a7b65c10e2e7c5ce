"""One training step: turns the accepted entries into a batch, updates the parameters, and reports the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..algorithms.batch import collate
from ..ingest.admission import fresh_steps
from ..metrics.weighted_percentiles import weighted_percentiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory
    from ..algorithms.trainer import Trainer
    from ..ingest.batcher import Batcher
    from ..metrics.update_metrics import Metrics

Staleness = list[tuple[int, int]]  # pairs of a staleness in versions, and how many steps have it


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The result of one update: the trajectories that were trained on, and the metrics."""

    trajectories: list[tuple[Header, Trajectory]]  # in the order in which they stand in the batch
    staleness: list[Staleness]  # of each trajectory's steps that were trained on
    steps: int  # trained on
    stale_steps: int  # not trained on, because they are too stale
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
    fresh = [fresh_steps(*each, batcher.oldest_version) for each in accepted]
    staleness = [
        _staleness(header, trajectory, mask, version)
        for (header, trajectory), mask in zip(accepted, fresh, strict=True)
    ]
    lags, counts = zip(*(pair for each in staleness for pair in each), strict=True)
    trained = sum(counts)
    ages = [_ages(*each, version, batcher.oldest_version) for each in accepted]
    batch = collate([trajectory for _, trajectory in accepted], fresh, ages)
    accepted_steps = sum(header.steps for header, _ in accepted)
    rejected_steps = sum(entry.header.steps for entry, _ in batcher.rejected if entry.header is not None)
    metrics = {
        **trainer.update(batch),
        "batch_steps": trained,
        "batch_games": batch.games,
        **{f"batch_staleness_{name}": value for name, value in weighted_percentiles(lags, counts).items()},
        # Steps gone through by the optimizer for each that was played (OpenAI Five, arXiv 1912.06680, section 4.2).
        "sample_reuse": trainer.passes * trained / max(accepted_steps + rejected_steps, 1),
    }
    return TrainingStep(accepted, staleness, trained, accepted_steps - trained, batch.games, metrics)


def _ages(header: Header, trajectory: Trajectory, version: int, oldest_version: int) -> NDArray[np.int32]:
    """How many versions ago each step of a trajectory was played, [T, B].

    Nobody knows of an imported one: it counts as being as old as is allowed, and as no step of the newest version.
    """
    shape, offsets = trajectory.valid.shape, trajectory.version_offsets
    if header.imported:
        return np.full(shape, max(version - oldest_version, 1), np.int32)
    ages = np.full(shape, version - header.version, np.int32)
    return ages if offsets is None else ages - offsets


def _staleness(header: Header, trajectory: Trajectory, fresh: NDArray[np.bool_] | None, version: int) -> Staleness:
    """The staleness of those steps of a trajectory that are trained on.

    Of an imported trajectory it is only certain that the newest version did not play it.
    """
    offsets = trajectory.version_offsets
    if header.imported or offsets is None:
        return [(1 if header.imported else version - header.version, header.steps)]
    trained = trajectory.valid if fresh is None else trajectory.valid & fresh
    played, counts = np.unique(offsets[trained], return_counts=True)
    return list(zip((version - header.version - played).tolist(), counts.tolist(), strict=True))
