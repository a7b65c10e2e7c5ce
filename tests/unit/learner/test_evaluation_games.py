"""Entries of games that evaluate a version: never trained on, whatever their age, counted apart, and once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.runs import SPEC, make_header, trajectory

from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.learner.config import IntakeConfig, Intervals, LearnerConfig
from broodmind.learner.ingest.admission import rejection
from broodmind.learner.ingest.batcher import Batcher
from broodmind.learner.ingest.entry_decoder import EntryDecoder
from broodmind.learner.ledger.head import Head, Standing
from broodmind.learner.ledger.stream_entry import Entry
from broodmind.learner.run.best_version import GAMES
from broodmind.learner.run.run_state import RunState

NOW = 1_700_000_000_000
STANDING = Standing(Head(epoch=3, version=20, commit="c20"), {5: "c5", 20: "c20"})
CONFIG = IntakeConfig(batch_steps=8, max_staleness=4, max_age=60.0, eval_share=0.1)


def evaluation(version=20, epoch=3, games=2, created_ms=NOW, commit=""):
    results = Episodes(tuple(map(float, range(games))), (4,) * games, (created_ms,) * games)
    return replace(make_header(version, epoch, 4 * games, results, created_ms, commit), evaluation=True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (evaluation(), None),
        (evaluation(version=1), None),  # 19 versions old
        (evaluation(created_ms=NOW - 3_600_000), None),  # an hour
        (evaluation(version=5, commit="c5"), None),
        (evaluation(version=5, commit="another"), "wrong_epoch"),
        (evaluation(version=21), "wrong_epoch"),
        (evaluation(epoch=2), "wrong_epoch"),
    ],
)
def test_they_are_judged_by_their_version_and_not_by_their_age(header, expected):
    assert rejection(header, STANDING, NOW, CONFIG) == expected


def test_they_are_consumed_and_neither_accepted_nor_rejected():
    batcher = Batcher(CONFIG, {})
    for number, header in enumerate([evaluation(version=1), evaluation(epoch=2), evaluation()], 1):
        batcher.add(Entry("a", (7, number), header, None), STANDING, NOW)
    batcher.add(Entry("a", (7, 3), evaluation(), None), STANDING, NOW)
    assert [entry_id for entry_id, _, _ in batcher.evaluated] == [(7, 1), (7, 3)]
    assert [(entry.id, reason) for entry, reason in batcher.rejected] == [
        ((7, 2), "wrong_epoch"),
        ((7, 3), "duplicate"),
    ]
    assert (batcher.accepted, batcher.steps, batcher.games, batcher.complete) == ([], 0, 0, False)
    assert batcher.consumed == {"a": ((7, 3), 4)}
    assert batcher.has_leftovers
    assert len(batcher.arrived) == 2


def test_one_that_could_not_be_read_is_invalid():
    batcher = Batcher(CONFIG, {})
    batcher.add(Entry("a", (7, 1), evaluation(), None, "invalid", "entry: wins is missing"), STANDING, NOW)
    assert [reason for _, reason in batcher.rejected] == ["invalid"]


@pytest.mark.parametrize("wins", [False, True])
def test_their_results_must_be_those_of_the_runs_game(wins):
    spec = replace(SPEC, game=replace(SPEC.game, wins=wins))
    decoder = EntryDecoder(spec, lambda _: None)
    for known in (None, (True, False)):
        header = evaluation()
        header = replace(header, episodes=replace(header.episodes, wins=known))
        entry = decoder.decode("a", (7, 1), header.to_bytes(b""))
        assert entry.rejected == (None if (known is not None) == wins else "invalid"), entry.problem
        assert entry.trajectory is None


def add(state, batcher, header, number, played=None):
    batcher.add(Entry("a", (7, number), header, played), state.standing, NOW)


@pytest.fixture
def state():
    """A run at its first version."""
    state = RunState("r", SPEC, LearnerConfig(intake=replace(CONFIG, max_age=1e9), intervals=Intervals(gauges_s=0.0)))
    state.first_version(Head(), 1)
    return state


def test_they_are_in_no_figure_and_no_counter_of_training(state):
    batcher, played = state.new_batcher(), trajectory()
    add(state, batcher, make_header(1, 1, played.steps, played.episodes, NOW), 1, played)
    add(state, batcher, evaluation(version=1, epoch=1, games=3), 2)
    commit, _ = state.commit(batcher, state.train(batcher), {"a"})
    counters = commit.counters
    assert {name: counters[name] for name in ("accepted", "games", "evaluation_entries", "evaluation_games")} == {
        "accepted": 1, "games": 1, "evaluation_entries": 1, "evaluation_games": 3,
    }  # fmt: skip
    assert commit.evaluations == {"a": "7-2"}
    assert commit.rejected_ids == {}
    assert (commit.stats["return_mean"], commit.stats["figure_games"]) == ("1", "1")
    assert commit.stats["eval_return_mean"] == "1"  # of 0, 1 and 2
    assert commit.stats["eval_games"] == 3


def test_a_commit_of_them_alone_publishes_nothing(state):
    batcher = state.new_batcher()
    add(state, batcher, evaluation(version=1, epoch=1), 1)
    commit, _ = state.commit(batcher, None, {"a"})
    assert commit.weights is None
    assert (commit.head.version, commit.counters["updates"]) == (1, 0)


def test_the_candidate_that_is_the_best_is_known_with_its_snapshot():
    state = RunState("r", SPEC, LearnerConfig(intake=CONFIG))
    _, first = state.first_version(Head(), 1)
    version = first.head.version
    batcher = state.new_batcher()
    add(state, batcher, evaluation(version, 1, games=GAMES), 1)
    commit, _ = state.commit(batcher, None, {"a"})
    assert state.chosen is not None
    chosen, snapshot = state.chosen
    assert chosen.is_best
    assert (chosen.line["version"], chosen.line["episodes"]) == (version, GAMES)
    assert snapshot == first
    assert commit.plan.new_best
    assert commit.plan.plan.best.version == version
    later, _ = state.commit(state.new_batcher(), None, {"a"})
    assert not later.plan.new_best


def test_a_successor_goes_on_with_the_best_and_gives_up_the_candidate(state):
    batcher = state.new_batcher()
    add(state, batcher, evaluation(1, 1, games=GAMES + 4), 1)
    _, snapshot = state.commit(batcher, None, {"a"})
    heir = RunState("r", SPEC, LearnerConfig(intake=CONFIG))
    heir.resume(snapshot)
    assert heir.counters.evaluation_games == GAMES + 4
    commit, _ = heir.first_version(heir.head, 2)
    assert (commit.plan.plan.best.version, commit.plan.plan.candidate.version) == (1, 2)
    assert commit.plan.new_candidate
    assert commit.stats["eval_games"] == GAMES + 4


def test_a_payload_with_them_is_no_entry():
    played = trajectory()
    raw = evaluation().to_bytes(encode_trajectory(played, "a", SPEC))
    entry = EntryDecoder(SPEC, lambda _: None).decode("a", (7, 1), raw)
    assert entry.rejected == "invalid"
    assert "no payload of an evaluation" in entry.problem
