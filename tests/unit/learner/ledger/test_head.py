"""Where a run stands: the lineage follows the head."""

from __future__ import annotations

from broodmind.learner.ledger.head import Head, Standing, next_head


def test_versions_are_numbered_within_their_run_and_commits_have_ids_of_their_own():
    head = Head(2, 7, "c7")
    assert (next_head(head, publish=True).version, next_head(head, publish=False).version) == (8, 7)
    assert len({next_head(head, publish=True).commit for _ in range(100)}) == 100


def test_a_published_version_joins_the_lineage():
    standing = Standing(Head(1, 1, "c1"), {1: "c1"}).after(Head(1, 2, "c2"), publish=True)
    assert standing == Standing(Head(1, 2, "c2"), {1: "c1", 2: "c2"})


def test_the_previous_head_does_not_change():
    before = Standing(Head(1, 1, "c1"), {1: "c1"})
    before.after(Head(1, 2, "c2"), publish=True)
    assert before == Standing(Head(1, 1, "c1"), {1: "c1"})


def test_a_commit_that_publishes_nothing_leaves_the_lineage():
    assert Standing(Head(1, 1, "c1"), {1: "c1"}).after(Head(1, 1, "c2"), publish=False).lineage == {1: "c1"}


def test_another_epoch_begins_a_lineage_of_its_own():
    standing = Standing(Head(1, 5, "c5"), {4: "c4", 5: "c5"}).after(Head(2, 6, "c6"), publish=True)
    assert standing.lineage == {6: "c6"}


def test_a_lineage_is_bounded_and_forgets_the_oldest_versions():
    standing = Standing(Head(1, 0, ""))
    for version in range(1, 1001):
        standing = standing.after(Head(1, version, f"c{version}"), publish=True)
    assert len(standing.lineage) < 300
    assert max(standing.lineage) == 1000
    assert min(standing.lineage) == 1001 - len(standing.lineage)
