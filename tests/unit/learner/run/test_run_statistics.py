"""The fields of the hash `stats`."""

from __future__ import annotations

import json

import pytest
from support.runs import SPEC, make_header

from broodmind.common.process import throughput
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.weights import Pointer
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.config import Goal, LearnerConfig
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.metrics.run_metrics import GAMES, History
from broodmind.learner.run.best_version import BestVersion
from broodmind.learner.run.run_statistics import RunStatistics

HEAD = Head(1, 20, "c20")
NOW = 1_700_000_000_000


@pytest.fixture
def clock(monkeypatch):
    times = {"now": 0.0}
    monkeypatch.setattr("broodmind.common.process.clock.monotonic_s", lambda: times["now"])
    return times


def statistics(history=None, goal=None):
    config = LearnerConfig(goal=goal or Goal())
    return RunStatistics("x", config, Trainer(SPEC, PPOConfig()), history or History())


def test_counters_and_the_updates_metrics_are_in_every_commit(clock):
    made = statistics()
    made.resumed_at(100, 7)
    for _ in range(2):
        fields = made.fields(HEAD, Counters(steps=180, stale=3), {"kl": 0.5}, actors=2)
        assert {
            "run": "x",
            "epoch": 1,
            "version": 20,
            "resumed_steps": 100,
            "resumed_version": 7,
        }.items() <= fields.items()
        assert (fields["steps"], fields["stale"], fields["kl"], fields["accept_imported"]) == (180, 3, "0.5", 0)


def test_gauges_are_only_in_some_commits(clock):
    history = History()
    history.reject(make_header(15, 1, 7, 1, NOW), 20)
    made, counters = statistics(history), Counters()
    first = made.fields(HEAD, counters, {}, actors=2)
    assert (first["actors"], json.loads(first["rejected_by_lag"])) == (2, {"5": 1})
    assert "actors" not in made.fields(HEAD, counters, {}, actors=2)
    clock["now"] = 1.0
    assert made.fields(HEAD, counters, {}, actors=3)["actors"] == 3


def test_gauges_are_those_of_now_whenever_they_are_due(clock):
    history = History()
    made = statistics(history)
    made.fields(HEAD, Counters(), {}, actors=2)
    history.arrive([("a", make_header(20, 1, 8, 1, NOW))], "a", NOW)
    gauges = made.gauges(3, {"staleness_limit": 4})
    assert (gauges["return_mean"], gauges["actors"], gauges["staleness_limit"]) == ("1", 3, 4)


def test_a_run_is_solved_once_its_last_games_reach_the_goal(clock):
    history = History()
    made = statistics(history, Goal(until_return=1.0))
    for _ in range(GAMES - 1):
        history.arrive([("a", make_header(20, 1, 8, 1, NOW))], "a", NOW)
    assert not made.solved
    assert "solved_ms" not in made.fields(HEAD, Counters(), {}, actors=1)
    history.arrive([("a", make_header(20, 1, 8, 1, NOW, open_since_ms=NOW))], "a", NOW)
    assert not made.solved  # a game that began in the same millisecond is still played
    history.arrive([("a", make_header(20, 1, 8, 0, NOW))], "a", NOW)
    assert made.solved
    fields = made.fields(HEAD, Counters(), {}, actors=1)
    assert fields["solved_ms"] > 0
    assert not statistics(history).solved


def test_figures_goal_and_evaluations_are_over_the_returns_as_they_arrived_however_large(clock):
    returns = (-3e6, 5e6) * (GAMES // 2)
    history = History()
    games = Episodes(returns, (4,) * GAMES, tuple(range(NOW - GAMES, NOW)))
    history.arrive([("a", make_header(20, 1, 4 * GAMES, games, NOW))], "a", NOW)
    best = BestVersion(0.1)
    best.begin(Pointer(1, 20, "c20", "d", 10), 0)
    chosen = best.arrive((1, 20, each, None) for each in returns)
    assert chosen.is_best
    assert (chosen.line["mean"], chosen.line["std"]) == (1e6, 4e6)
    made = statistics(history, Goal(until_return=1e6))
    assert made.gauges(1, best=best)["return_mean"] == "1e+06"
    assert made.update(HEAD, Counters(), {})["return_mean"] == 1e6
    assert made.solved
    assert not statistics(history, Goal(until_return=1e6 + 1)).solved


def test_the_rate_is_written_without_a_commit_until_it_has_fallen_to_nothing(clock, monkeypatch):
    monkeypatch.setattr(throughput, "monotonic_s", lambda: clock["now"])
    made = statistics()
    for second in range(5):
        clock["now"] = float(second)
        made.trained_to(100 * second)
    assert made.gauges(1)["steps_per_second"] == 100
    clock["now"] = 4.9
    assert made.fallen_rate() == {}  # the next update is not due
    written = []
    for tenth in range(50, 200):
        clock["now"] = tenth / 10
        written += made.fallen_rate().values()
    assert written == sorted(written, reverse=True)
    assert written[-1] == 0
    assert len(written) == len(set(written)) <= 5  # once a second, and not again once it is 0
