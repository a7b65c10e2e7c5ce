"""Whether an entry may be trained on, judged by its header alone, and which of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...common.wire.entry_header import Header
    from ...common.wire.trajectory import Trajectory
    from ..config import IntakeConfig
    from ..ledger.counters import Rejection
    from ..ledger.head import Standing


def rejection(header: Header, standing: Standing, now_ms: int, config: IntakeConfig) -> Rejection | None:
    """The reason for which an entry is rejected now; None if it may be trained on.

    A step's staleness is the head's version minus the version that played it. An entry is stale if all its steps are
    too stale, or of versions before the run went back to an earlier state; of others `fresh_steps` says which are not.
    A version that this run has not reached belongs to a lost lineage, and so does one that another commit published
    than this run's. An imported entry has neither staleness nor lineage; its age counts from its import. Ages are by
    the server's clock. Games that evaluate a version are judged by its lineage alone: they are not trained on, and no
    version is too old to be evaluated.
    """
    if header.evaluation:
        return _rejection_by_lineage(header, standing)
    if header.imported:
        if not config.accept_imported:
            return "off_run"
    elif reason := _rejection_by_version(header, standing, config):
        return reason
    return "too_old" if now_ms - header.created_ms > config.max_age * 1000 else None


def staleness_limit(standing: Standing, config: IntakeConfig) -> int:
    """The largest staleness, in versions, with which a step is trained on: the user's, or else the automatic one."""
    return standing.max_staleness if config.max_staleness is None else config.max_staleness


def oldest_version(standing: Standing, config: IntakeConfig) -> int:
    """The oldest version whose steps are trained on."""
    return max(standing.head.version - staleness_limit(standing, config), standing.oldest_version)


def fresh_steps(header: Header, trajectory: Trajectory, oldest_version: int) -> NDArray[np.bool_] | None:
    """The steps [T, B] that `oldest_version` or a newer one played; None where all are, as is usual."""
    offsets = trajectory.version_offsets
    if offsets is None or header.imported or header.version >= oldest_version:
        return None
    fresh: NDArray[np.bool_] = offsets >= oldest_version - header.version
    return fresh


def _rejection_by_version(header: Header, standing: Standing, config: IntakeConfig) -> Rejection | None:
    if reason := _rejection_by_lineage(header, standing):
        return reason
    return "stale" if header.versions[1] < oldest_version(standing, config) else None


def _rejection_by_lineage(header: Header, standing: Standing) -> Rejection | None:
    head = standing.head
    if header.epoch != head.epoch or header.versions[1] > head.version:
        return "wrong_epoch"
    for version, played in zip(header.versions, header.commits, strict=True):
        commit = standing.lineage.get(version)
        if played and commit and played != commit:
            return "wrong_epoch"
    return None
