"""The oracle finds nothing in a run that is right, and finds each single thing that is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.runs import make_header

from broodmind.actors.transport.ack_journal import Acknowledged, Journal, read_journals
from broodmind.common.errors import ConfigError
from broodmind.common.wire.weights import Pointer
from broodmind.deploy.audit.invariants import Snapshot, StreamView, judge
from broodmind.learner.commit.commit import ledger_entries_kept
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.id_ranges import IdRange, format_ranges, merge, parse_ranges
from broodmind.learner.ledger.ledger_entry import LedgerEntry


def entry(number, *, version, published=True, epoch=1, token="1-aa", counters, rejected=None, **by_actor):
    consumed, gaps, evaluations = (
        {actor: parse_ranges(text) for actor, text in by_actor.get(name, {}).items()}
        for name in ("consumed", "gaps", "evaluations")
    )
    return LedgerEntry(
        written_ms=1000 + number,
        commit=f"c{number}",
        parent=f"c{number - 1}" if number else "",
        epoch=epoch,
        version=version,
        token=token,
        published=published,
        counters=counters,
        consumed=consumed,
        rejected={
            why: {a: parse_ranges(text) for a, text in actors.items()} for why, actors in (rejected or {}).items()
        },
        gaps=gaps,
        evaluations=evaluations,
    )


# A run with all there may be: accepted, rejected, an evaluation, a gap, a commit without a version, a takeover, a new
# epoch.
TWO = Counters(updates=1, accepted=2, steps=20, games=2)
THREE = replace(TWO, stale=1, invalid=1, evaluation_entries=1, evaluation_games=1)
FOUR = replace(THREE, updates=2, accepted=5, steps=50, games=5, overflow=9, lost=2)
SIX = replace(FOUR, updates=3, accepted=6, steps=60, games=6)
LEDGER = [
    entry(0, version=1, counters=Counters()),
    entry(1, version=2, counters=TWO, consumed={"a": "7-1..2"}),
    entry(
        2,
        version=2,
        published=False,
        counters=THREE,
        consumed={"a": "7-3", "b": "7-1..2"},
        rejected={"stale": {"a": "7-3"}, "invalid": {"b": "7-1"}},
        evaluations={"b": "7-2"},
    ),
    entry(3, version=3, token="2-bb", counters=FOUR, consumed={"a": "7-6..7", "b": "8-1"}, gaps={"a": "7-4..5"}),
    entry(4, version=4, epoch=2, token="2-bb", counters=FOUR),
    entry(5, version=5, epoch=2, token="2-bb", counters=SIX, consumed={"a": "7-8"}),
]
POINTER = Pointer(2, 5, "c5", "digest", 10)
GOOD = Snapshot(
    head={"commit": "c5", "parent": "c4", "epoch": "2", "version": "5"}
    | {name: str(value) for name, value in SIX.to_fields().items()},
    latest=POINTER,
    ledger=LEDGER,
    versions={(1, 1): "c0", (1, 2): "c1", (1, 3): "c3", (2, 4): "c4", (2, 5): "c5"},
    streams={"a": StreamView(8, 2, ((7, 9),), ((7, 10),)), "b": StreamView(3, 0, (), ())},
    blob=(POINTER, "digest"),
)
# What left "a" are 7-1..3 and 7-6..8: six; with two still there, eight were added.


def journal(*numbers):
    return [Acknowledged(number, 10, 1, 5) for number in numbers]


JOURNALS = {"a": {7: journal(1, 2, 3, 6, 7, 8, 9)}, "b": {7: journal(1, 2), 8: journal(1)}}


def kinds(snapshot, journals=None):
    return {violation.kind for violation in judge(snapshot, JOURNALS if journals is None else journals).violations}


def with_entry(number, **changes):
    ledger = list(LEDGER)
    ledger[number] = replace(ledger[number], **changes)
    return replace(GOOD, ledger=ledger)


def ranges(**actors):
    return {actor: parse_ranges(text) for actor, text in actors.items()}


def test_no_violation_is_found_in_a_correct_run():
    verdict = judge(GOOD, JOURNALS)
    assert verdict.violations == []
    assert verdict.complete
    expected = {"commits": 6, "versions": 5, "epochs": 2, "consumed": 9, "accepted": 6, "stale": 1}
    assert (
        verdict.metrics.items()
        >= (expected | {"overflow": 9, "lost": 2, "evaluation_entries": 1, "evaluation_games": 1}).items()
    )
    fates = {"acknowledged": 10, "acknowledged_consumed": 9, "acknowledged_waiting": 1, "acknowledged_lost": 0}
    assert verdict.metrics.items() >= fates.items()


def test_no_violation_is_found_in_a_run_that_has_just_begun():
    first = entry(0, version=1, counters=Counters())
    pointer = Pointer(1, 1, "c0", "d", 1)
    head = {"commit": "c0", "parent": "", "epoch": "1", "version": "1"}
    head |= dict.fromkeys(Counters().to_fields(), "0")
    assert judge(Snapshot(head, pointer, [first], {(1, 1): "c0"}, {}), {}).violations == []


@pytest.mark.parametrize(("again", "expected"), [("duplicate", set()), ("stale", {"twice"})])
def test_an_entry_that_came_again_is_no_violation_if_it_was_rejected_as_a_duplicate(again, expected):
    counters = replace(SIX, **{again: getattr(SIX, again) + 1})
    last = entry(
        6,
        version=5,
        epoch=2,
        token="2-bb",
        published=False,
        counters=counters,
        consumed={"a": "7-8"},
        rejected={again: {"a": "7-8"}},
    )
    head = {**GOOD.head, "commit": "c6", "parent": "c5", **counters.to_fields()}
    found = kinds(replace(GOOD, ledger=[*LEDGER, last], head=head))
    assert ("twice" in found) == bool(expected)


@pytest.mark.parametrize("oldest", [1, 2, 3, 4, 5])
def test_a_ledger_whose_beginning_was_trimmed_is_judged_from_there_on(oldest):
    snapshot = replace(GOOD, ledger=LEDGER[oldest:])
    verdict = judge(snapshot, JOURNALS)
    assert verdict.violations == []
    assert not verdict.complete
    assert verdict.metrics["acknowledged_unseen"] == {1: 0, 2: 2, 3: 5, 4: 8, 5: 8}[oldest]
    # What comes after the oldest entry is still held to account.
    assert "lost" in kinds(replace(snapshot, streams={"a": StreamView(8, 1, (), ((7, 10),))}))


@pytest.mark.parametrize(
    ("what", "snapshot", "expected"),
    [
        ("an id in two commits", with_entry(3, consumed=ranges(a="7-2,7-6..7", b="8-1")), {"twice", "counter"}),
        ("an id twice in one", with_entry(5, consumed=ranges(a="7-8,7-8")), {"twice", "counter"}),
        ("overlapping ranges", with_entry(5, consumed=ranges(a="7-7..8")), {"twice", "counter"}),
        ("consumed and still there", with_entry(5, consumed=ranges(a="7-9")), {"twice", "lost"}),
        ("an id in none", with_entry(5, consumed=ranges(a="7-11")), {"lost"}),
        ("accepted not counted", with_entry(3, counters=replace(FOUR, accepted=4)), {"counter"}),
        ("a reason not counted", with_entry(2, counters=replace(THREE, stale=0)), {"counter"}),
        ("an update not counted", with_entry(1, counters=replace(TWO, updates=0)), {"counter"}),
        ("a gap not counted", with_entry(3, counters=replace(FOUR, lost=0)), {"counter"}),
        ("games given up forgotten", with_entry(5, counters=replace(SIX, overflow=8)), {"counter"}),
        ("games given up with no entry", with_entry(4, counters=replace(FOUR, overflow=10)), {"counter"}),
        ("steps counted twice", with_entry(1, counters=replace(TWO, steps=40)), {"counter"}),
        ("a game not counted", with_entry(1, counters=replace(TWO, games=1)), {"counter"}),
        ("rejected and not consumed", with_entry(2, rejected={"stale": ranges(a="7-4")}), {"verdict"}),
        (
            "rejected for two reasons",
            with_entry(2, rejected={"stale": ranges(a="7-3"), "invalid": ranges(a="7-3")}),
            {"verdict"},
        ),
        ("an evaluation not counted", with_entry(2, counters=replace(THREE, evaluation_entries=0)), {"counter"}),
        ("an evaluation's game not counted", with_entry(2, counters=replace(THREE, evaluation_games=0)), {"counter"}),
        ("an evaluation's game counted twice", with_entry(2, counters=replace(THREE, evaluation_games=2)), {"counter"}),
        ("an evaluation trained on too", with_entry(2, evaluations={}), {"counter", "version"}),
        ("an evaluation rejected too", with_entry(2, evaluations=ranges(b="7-1")), {"verdict"}),
        ("an evaluation of nothing", with_entry(2, evaluations=ranges(b="7-9")), {"verdict"}),
        ("an evaluation as a training game", with_entry(2, counters=replace(THREE, games=3)), {"counter"}),
        ("another parent", with_entry(3, parent="c1"), {"chain"}),
        ("an epoch that falls", with_entry(4, epoch=0), {"chain"}),
        ("a version left out", with_entry(3, version=4), {"version"}),
        ("a version twice", with_entry(1, version=1), {"version"}),
        ("an epoch opened without a version", with_entry(4, published=False), {"version"}),
        ("published with nothing trained", with_entry(2, published=True), {"version"}),
        ("a fencing number that falls", with_entry(4, token="1-aa"), {"fence"}),
        ("one number, two holders", with_entry(4, token="2-cc"), {"fence"}),
        ("another head", replace(GOOD, head={**GOOD.head, "commit": "c9"}), {"head"}),
        ("another count in the head", replace(GOOD, head={**GOOD.head, "games": "61"}), {"head"}),
        ("no ledger", replace(GOOD, ledger=[]), {"head"}),
        ("an older pointer", replace(GOOD, latest=Pointer(1, 3, "c3", "d", 1)), {"pointer"}),
        ("no pointer", replace(GOOD, latest=None), {"pointer"}),
        ("another blob", replace(GOOD, blob=(POINTER, "other")), {"digest"}),
        ("no blob", replace(GOOD, blob=(POINTER, None)), {"digest"}),
        ("a version of another commit", replace(GOOD, versions={**GOOD.versions, (1, 3): "c1"}), {"version"}),
        ("a version missing", replace(GOOD, versions={(1, 1): "c0", (2, 5): "c5"}), {"version"}),
        ("an entry that left by itself", replace(GOOD, streams={"b": StreamView(4, 0, (), ())}), {"stream"}),
        ("pending and deleted", replace(GOOD, streams={"a": StreamView(8, 1, ((7, 9),), ((7, 10),))}), {"stream"}),
        ("a stream that is gone", replace(GOOD, streams={}), {"lost"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_kind_of_violation_is_found(what, snapshot, expected):
    assert expected <= kinds(snapshot)


def test_an_acknowledged_entry_that_passes_for_never_sent_is_lost():
    journals = {"a": {7: journal(1, 2, 3, 4, 6, 7, 8, 9)}}
    (violation,) = judge(GOOD, journals).violations
    assert (violation.kind, violation.actor, violation.id, violation.acknowledged_ms) == ("lost", "a", "7-4", 5)
    assert "counted as lost" in violation.what


def test_acknowledged_entries_of_two_incarnations_are_not_confused():
    for other in (6, 8):
        assert kinds(GOOD, {"a": {other: journal(1)}}) == {"lost"}


def test_steps_are_not_judged_where_a_journal_lacks_an_entry():
    later = [replace(each, counters=replace(each.counters, steps=each.counters.steps + 5)) for each in LEDGER[1:]]
    more = {"ledger": [LEDGER[0], *later], "head": {**GOOD.head, "steps": "65"}}
    assert kinds(replace(GOOD, **more)) == {"counter"}
    assert kinds(replace(GOOD, **more), {"a": {7: journal(1)}}) == set()


# Ranges.


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([], ""),
        ([(7, 1)], "7-1"),
        ([(7, 1), (7, 2), (7, 3)], "7-1..3"),
        ([(7, 1), (7, 3), (7, 4), (8, 5)], "7-1,7-3..4,8-5"),
        ([(8, 1), (7, 2), (7, 1)], "7-1..2,8-1"),
        ([(7, 1), (7, 1)], "7-1,7-1"),
    ],
)
def test_ranges_of_ids_have_a_short_form(ids, text):
    assert format_ranges(merge(ids)) == text
    assert [(r.incarnation, n) for r in parse_ranges(text) for n in range(r.first, r.last + 1)] == sorted(ids)


def test_a_range_knows_its_size():
    assert IdRange(7, 3, 5).size == 3


@pytest.mark.parametrize(("streams", "entries"), [(0, 10_000), (1, 10_000), (100, 10_000), (1000, 1000), (4096, 244)])
def test_the_ledger_is_shorter_where_commits_are_of_many_actors(streams, entries):
    assert ledger_entries_kept(streams) == entries


# Journals.


def test_a_journal_is_read_as_it_was_written(tmp_path):
    first, *rest = ((number, make_header(1, 1, steps=4, games=1, created_ms=0)) for number in (1, 2, 3))
    book = Journal(tmp_path / "new", "a.b-1", 7)
    book.write([first])
    book.write([])
    book.write(rest)
    book.close()
    Journal(tmp_path / "new", "a.b-1", 9).close()
    found = read_journals(tmp_path / "new")
    assert list(found) == ["a.b-1"]
    assert found["a.b-1"][9] == []
    assert [(each.number, each.steps, each.games) for each in found["a.b-1"][7]] == [(n, 4, 1) for n in (1, 2, 3)]


@pytest.mark.parametrize("torn", ["2", "2 4", "2 4 1 17", "2 4 1 170000"])
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    (tmp_path / "a@7.journal").write_text(f"1 4 1 1700000\n{torn}")
    assert read_journals(tmp_path) == {"a": {7: [Acknowledged(1, 4, 1, 1_700_000)]}}


@pytest.mark.parametrize(
    ("name", "text"), [("a@7", "1 4 1\n"), ("a@7", "x 4 1 5\n"), ("a@x", ""), ("a", ""), ("a b@7", ""), ("a@7", "\n")]
)
def test_an_invalid_journal_is_refused_by_its_path(tmp_path, name, text):
    (tmp_path / f"{name}.journal").write_text(text)
    with pytest.raises(ConfigError, match=rf"journal .*{name}\.journal: .*expected ACTOR@INCARNATION"):
        read_journals(tmp_path)


def test_a_run_whose_versions_stream_is_empty_is_judged_by_the_rest():
    assert kinds(replace(GOOD, versions={})) == set()
