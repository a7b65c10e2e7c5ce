"""What a commit says of the entries that it consumes."""

from __future__ import annotations

import pytest
from support.runs import make_header, trajectory

from broodmind.learner.config import IntakeConfig
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head, Standing
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.run.commit_builder import build_commit

NOW = 1_700_000_000_000
PARENT, HEAD = Head(1, 20, "c20"), Head(1, 21, "c21")


def built(batcher, metrics=None, weights=b"weights"):
    return build_commit(
        *(PARENT, HEAD, batcher, metrics or {}),
        learner=b"state",
        weights=weights,
        counters=Counters(accepted=1),
        stats={"version": 21},
    )


def a_batcher(*entries):
    made = Batcher(IntakeConfig(), {})
    for entry in entries:
        made.add(entry, Standing(PARENT), NOW)
    return made


def test_a_commit_lists_consumed_and_rejected_entries_and_gaps():
    played = trajectory()
    header = make_header(20, 1, played.steps, played.episodes, NOW)
    batcher = a_batcher(
        Entry("a", (7, 1), header, played),
        Entry("a", (7, 4), header, None, "stale"),
        Entry("b", (8, 1), None, None, "invalid", "payload: torn", b"shown"),
    )
    commit = built(batcher)
    assert (commit.parent, commit.head) == (PARENT, HEAD)
    assert commit.consumed == {"a": ((7, 4), 2), "b": ((8, 1), 1)}
    assert commit.rejected_ids == {"stale": {"a": "7-4"}, "invalid": {"b": "8-1"}}
    assert commit.gaps == {"a": "7-2..3"}
    assert commit.counters["accepted"] == 1


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("invalid", True), ("non_finite", True), ("poison", True), ("stale", False), ("off_run", False)],
)
def test_only_invalid_entries_are_kept_for_inspection(reason, kept):
    commit = built(a_batcher(Entry("a", (7, 1), None, None, reason, "why", b"shown")))
    entry = {"actor": "a", "id": "7-1", "reason": reason, "problem": "why", "payload": b"shown"}
    assert commit.rejected_entries == ([entry] if kept else [])


def test_metrics_are_written_with_six_digits():
    assert built(a_batcher(), {"kl": 1 / 3, "steps": 12345678}).entry == {"kl": "0.333333", "steps": "1.23457e+07"}
