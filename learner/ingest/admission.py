"""Whether an entry may be trained on, judged by its header alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...common.wire.entry_header import Header
    from ..config import IntakeConfig
    from ..ledger.counters import Rejection
    from ..ledger.head import Standing


def rejection(header: Header, standing: Standing, now_ms: int, config: IntakeConfig) -> Rejection | None:
    """The reason for which an entry is rejected now; None if it may be trained on.

    An entry's staleness is the head's version minus the version that the entry was played with. An entry belongs to
    another lineage if its version is higher than the head's, or if its version was not published by the commit that
    this run's lineage names for it. An imported entry has no staleness and no lineage; its age counts from its import.
    """
    if header.imported:
        if not config.accept_imported:
            return "off_run"
    elif reason := _rejection_by_version(header, standing, config):
        return reason
    return "too_old" if now_ms - header.created_ms > config.max_age * 1000 else None


def _rejection_by_version(header: Header, standing: Standing, config: IntakeConfig) -> Rejection | None:
    head = standing.head
    if header.epoch != head.epoch or header.versions[1] > head.version:
        return "wrong_epoch"
    for version, played in zip(header.versions, header.commits, strict=True):
        commit = standing.lineage.get(version)
        if played and commit and played != commit:
            return "wrong_epoch"
    if head.version - header.version > config.max_staleness:
        return "stale"
    return None
