"""Builds a commit from the learner's state: head, weights, counters, statistics, consumed and rejected ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...common.server.streams import format_id
from ..commit.commit import Commit
from ..ledger.id_ranges import format_ranges
from ..ledger.ledger_entry import by_actor, by_reason
from .run_statistics import printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.server.streams import Argument
    from ..commit.commit import PlanChange
    from ..ingest.batcher import Batcher
    from ..ledger.counters import Counters
    from ..ledger.head import Head
    from ..metrics.update_metrics import Metrics

_SHOWN_REASONS = {"invalid", "non_finite", "poison"}  # kept in the stream `rejected`; the others are only counted


def build_commit(
    parent: Head,
    head: Head,
    batcher: Batcher,
    metrics: Metrics,
    *,
    learner: bytes,
    weights: bytes | None,
    counters: Counters,
    stats: Mapping[str, Argument],
    plan: PlanChange | None = None,
    restore_point: bytes | None = None,
) -> Commit:
    """The commit that leads from one head to the next.

    Args:
        parent: the head before the commit.
        head: the head after the commit.
        batcher: holds the consumed entries.
        metrics: of the update; empty if nothing was trained.
        learner: the encoded learner state after the commit.
        weights: the encoded weights of the version that the commit publishes; None: it publishes none.
        counters: the run's totals after the commit.
        stats: the fields of the hash `stats`.
        plan: for greedy games; None: as before.
        restore_point: the encoded restore point; None: as before.
    """
    return Commit(
        parent=parent,
        head=head,
        learner=learner,
        weights=weights,
        counters=counters.to_fields(),
        stats=stats,
        entry=printed(metrics),
        consumed=batcher.consumed,
        rejected_ids=by_reason(batcher.rejected),
        gaps={actor: format_ranges(gaps) for actor, gaps in batcher.gaps.items()},
        rejected_entries=[
            {"actor": e.actor, "id": format_id(e.id), "reason": why, "problem": e.problem, "payload": e.shown}
            for e, why in batcher.rejected
            if why in _SHOWN_REASONS
        ],
        evaluations=by_actor((actor, entry_id) for entry_id, actor, _ in batcher.evaluated),
        plan=plan,
        restore_point=restore_point,
    )
