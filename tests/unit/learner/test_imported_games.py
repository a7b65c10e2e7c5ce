"""Entries of imported behaviour: marked on the wire, taken only where asked for, and kept out of the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.common.errors import WireError
from broodmind.common.wire.entry_header import Episodes, parse_entry
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory
from broodmind.learner.config import IntakeConfig, LearnerConfig
from broodmind.learner.ingest.admission import rejection
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ledger.head import Head, Standing
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.metrics.run_metrics import History
from broodmind.learner.run.run_state import RunState

NOW = 1_700_000_000_000
STANDING = Standing(Head(epoch=3, version=20, commit="c"))
ASKED = IntakeConfig(batch_steps=8, max_staleness=4, max_age=60.0, accept_imported=True)


def a_header(played, **changed):
    return replace(make_header(0, 0, played.steps, played.episodes, NOW, imported=True), **changed)


def on_the_wire(header, payload=b"p"):
    return [part if isinstance(part, bytes) else str(part).encode() for part in header.fields(payload)]


@pytest.mark.parametrize("imported", [True, False])
def test_an_entry_says_whether_its_trajectory_is_imported(imported):
    header = make_header(0, 0, 8, 1, NOW, imported=imported)
    raw = on_the_wire(header)
    assert parse_entry(raw) == (header, b"p")
    assert (b"imported" in raw[::2]) == imported


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: [*raw[:-3], b"uniform", *raw[-2:]],
        lambda raw: [*raw[:-3], b"0", *raw[-2:]],
        lambda raw: [*raw[:-3], b"", *raw[-2:]],
        lambda raw: [*raw[:-2], *raw[-4:]],
        lambda raw: [*raw[:-4], *raw[-2:], *raw[-4:-2]],
        lambda raw: [*raw[:-3], *raw[-2:]],
        lambda raw: raw[:-1],
    ],
)
def test_an_invalid_import_mark_is_rejected(change):
    with pytest.raises(WireError, match=r"^entry: "):
        parse_entry(change(on_the_wire(make_header(0, 0, 8, 1, NOW, imported=True))))


def test_only_an_imported_game_may_have_an_unknown_result():
    spec = replace(SPEC, game=replace(SPEC.game, wins=True))
    played = trajectory()
    payload = encode_trajectory(played, "a", spec)
    assert decode_trajectory(payload, a_header(played), "a", spec).episodes.wins is None
    with pytest.raises(WireError, match=r"^entry: wins is missing, expected as the run's game has it"):
        decode_trajectory(payload, a_header(played, imported=False), "a", spec)
    known = replace(played.episodes, wins=(True,))
    for imported in (True, False):
        header = a_header(played, episodes=known, imported=imported)
        assert decode_trajectory(payload, header, "a", spec).episodes == known


@pytest.mark.parametrize(
    ("config", "age_ms", "expected"),
    [
        (ASKED, 0, None),
        (ASKED, 60_000, None),
        (ASKED, 60_001, "too_old"),
        (replace(ASKED, max_staleness=0), 0, None),
        (replace(ASKED, accept_imported=False), 0, "off_run"),
        (replace(ASKED, accept_imported=False), 60_001, "off_run"),
    ],
)
@pytest.mark.parametrize(("epoch", "version"), [(0, 0), (3, 20), (9, 99)])
def test_with_accept_imported_an_imported_game_is_accepted_whatever_its_version(
    config, age_ms, expected, epoch, version
):
    header = a_header(trajectory(), epoch=epoch, versions=(version, version), created_ms=NOW - age_ms)
    assert rejection(header, STANDING, NOW, config) == expected


def test_accept_imported_does_not_switch_off_other_checks():
    ours = make_header(20, 3, 8, 1, NOW)
    assert rejection(ours, STANDING, NOW, ASKED) is None
    assert rejection(replace(ours, versions=(15, 15)), STANDING, NOW, ASKED) == "stale"
    assert rejection(replace(ours, epoch=0), STANDING, NOW, ASKED) == "wrong_epoch"


def a_run_after(*headers, **intake):
    asked = replace(ASKED, **intake)
    run = RunState("x", SPEC, LearnerConfig(intake=asked))
    run.standing = STANDING
    batcher = Batcher(asked, {})
    for sequence, header in enumerate(headers, 1):
        batcher.add(Entry("a", (1, sequence), header, trajectory(sequence)), STANDING, header.created_ms)
    metrics = run.train(batcher)
    return run, run.commit(batcher, metrics, {"a"})[0]


def test_an_imported_game_is_counted_as_accepted_and_as_imported():
    played = trajectory()
    ours = make_header(19, 3, played.steps, played.episodes, NOW)
    _, commit = a_run_after(a_header(played), ours, a_header(played))
    assert {name: commit.counters[name] for name in ("accepted", "imported", "steps", "games")} == {
        "accepted": 3,
        "imported": 2,
        "steps": 24,
        "games": 3,
    }
    assert commit.stats["accept_imported"] == 1


def test_an_imported_game_does_not_change_the_metrics_of_the_runs_own_games():
    played = trajectory()
    ours = make_header(19, 3, played.steps, played.episodes, NOW)
    vast = replace(a_header(played), episodes=Episodes((1e6,), (999,), (NOW,)))
    figures = []
    for entries in ([ours], [ours, vast, vast]):
        _, commit = a_run_after(*entries)
        figures.append({name: commit.stats[name] for name in ("figure_games", "return_mean", "staleness_max")})
        history = History()
        for header in entries:
            history.accept(header, [(1, 8)], NOW)
            history.reject(header, 20)
        figures.append((history.metrics(), history.rejections()))
    assert figures[:2] == figures[2:]
    assert figures[0] == {"figure_games": "1", "return_mean": "1", "staleness_max": "1"}


@pytest.mark.parametrize(("limit", "age"), [(4, 4), (9, 9), (0, 1)])
def test_imported_steps_count_as_old_as_is_allowed(monkeypatch, limit, age):
    batches, played = [], trajectory()
    monkeypatch.setattr(
        "broodmind.learner.algorithms.trainer.Trainer.update", lambda _, batch: batches.append(batch) or {}
    )
    newest = make_header(20, 3, played.steps, played.episodes, NOW)
    a_run_after(a_header(played, versions=(20, 20), epoch=3), newest, max_staleness=limit)
    assert batches[0].ages.T.tolist() == [[age] * 4] * 2 + [[0] * 4] * 2
