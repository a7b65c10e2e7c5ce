"""The figures of a run: over which games they are, and what a successor makes of them."""

from __future__ import annotations

import numpy as np
from support.runs import make_header

from broodmind.common.wire import codec
from broodmind.common.wire.entry_header import Episodes
from broodmind.learner.metrics.begin_order import WAITING_MAX
from broodmind.learner.metrics.run_metrics import GAMES, History

NOW = 1_700_000_000_000


def header(version=20, epoch=3, steps=4, games=1, created_ms=NOW, **more):
    return make_header(version, epoch, steps, games, created_ms, **more)


def one_game(value, wins=None, age_ms=0, **more):
    episodes = Episodes((float(value),), (int(value) + 1,), (NOW - age_ms,), wins)
    return header(games=episodes, **more)


def play(history, games, wins=True, start=0):
    for number in range(start, start + games):
        won = (number % 4 == 0,) if wins else None
        history.arrive([("a", one_game(number, won))], "a", NOW)
        history.accept(header(created_ms=NOW - 1000 * number), [(number % 3, 4)], NOW)


def restored(state):
    history = History()
    history.restore(codec.decode(codec.encode(state), max_bytes=1 << 24, max_list=1 << 16)["history"])
    return history


def test_a_new_history_has_nothing_to_say():
    history = History()
    assert history.metrics() == {"figure_games": 0, "figure_games_waiting": 0}
    assert history.mean_return is None
    assert history.rejections() == {"rejected_by_lag": {}, "rejected_by_length": {}}


def test_the_figures_are_those_of_what_arrived():
    history = History()
    play(history, 8)
    metrics = history.metrics()
    assert metrics["return_mean"] == np.mean(range(8))
    assert metrics["length_mean"] == np.mean(range(1, 9))
    assert metrics["win_rate"] == 2 / 8
    assert metrics["figure_games"] == 8
    assert metrics["staleness_max"] == 2
    assert metrics["staleness_p50"] == 1  # of 0 1 2 0 1 2 0 1
    assert metrics["age_s_max"] == 7
    assert metrics["age_s_p50"] == 3.5


def test_the_games_that_an_arrival_adds_to_the_figures_are_told_with_their_versions():
    history = History()
    history.arrive([("a", one_game(3, version=7)), ("b", one_game(4, version=9, open_since_ms=NOW - 5))], "ab", NOW)
    assert history.added == []  # one that began before them is in play
    history.arrive([("b", one_game(5, version=6, age_ms=5)), ("a", one_game(6, evaluation=True))], "ab", NOW)
    assert history.added == [(6, 5.0), (7, 3.0), (9, 4.0)]
    history.arrive([], "ab", NOW)
    assert history.added == []


def test_staleness_is_that_of_the_steps():
    history = History()
    history.accept(header(), [(0, 94), (3, 1)], NOW)
    history.accept(header(), [(7, 5)], NOW)
    metrics = history.metrics()
    assert (metrics["staleness_p50"], metrics["staleness_p95"], metrics["staleness_max"]) == (0, 3, 7)


def test_a_game_without_wins_has_no_win_rate():
    history = History()
    play(history, 3, wins=False)
    assert "win_rate" not in history.metrics()


def test_the_mean_return_is_that_of_the_last_hundred_games_and_unknown_before():
    history = History()
    play(history, GAMES - 1)
    assert history.mean_return is None
    play(history, 1, start=GAMES - 1)
    assert history.mean_return == np.mean(range(GAMES))
    play(history, 10, start=GAMES)
    assert history.mean_return == np.mean(range(10, GAMES + 10))


def test_a_game_counts_only_once_those_that_began_before_it_are_over():
    """Games of which the good ones are short: a hundred of them have ended, and the first of all is still played."""
    history = History()
    early = header(games=0, open_since_ms=NOW - 500)
    good = [one_game(1, age_ms=400 - number) for number in range(GAMES)]
    history.arrive([("slow", early), *(("quick", each) for each in good)], ["slow", "quick"], NOW)
    assert history.mean_return is None
    assert history.metrics() == {"figure_games": GAMES, "figure_games_waiting": GAMES}
    history.arrive([("slow", one_game(-99, age_ms=500))], ["slow", "quick"], NOW)
    assert history.mean_return == 1  # the first is not among the last hundred
    assert history.metrics()["figure_games"] == GAMES + 1


def test_the_figures_are_of_the_first_games_to_begin_where_length_and_return_are_linked():
    """A game of length n returns n. They arrive as they end; the figures are in the order of their beginnings."""
    rng = np.random.default_rng(5)
    length = rng.geometric(0.02, 3000)
    start = NOW + np.arange(3000)
    ends = np.argsort(start + length, kind="stable")
    history, checked = History(), 0
    for at, game in enumerate(ends):
        open_ones = start[ends[at + 1 :]]
        open_since = int(open_ones.min()) if len(open_ones) else None
        ended = header(games=Episodes((float(length[game]),), (int(length[game]),), (int(start[game]),)))
        now = int(start[game] + length[game])
        history.arrive([("a", make_header(20, 3, 4, ended.episodes, now, open_since_ms=open_since))], "a", now)
        over = 3000 if open_since is None else open_since - NOW  # all games before this one have ended
        if over >= GAMES:
            assert history.mean_return == np.mean(length[over - GAMES : over])
            checked += 1
    assert checked > 2000
    assert history.metrics()["length_mean"] == np.mean(length[-GAMES:])


def test_refusals_are_counted_by_lag_and_by_the_power_of_two_above_the_games_length():
    history = History()
    for version, steps, games in ((15, 7, 1), (15, 8, 1), (0, 100, 10), (20, 3, 0), (25, 1, 1)):
        history.reject(header(version, steps=steps, games=games), 20)
    assert history.rejections() == {
        "rejected_by_lag": {5: 2, 20: 1, 0: 2},
        "rejected_by_length": {8: 1, 16: 2, 4: 1, 2: 1},
    }
    history.reject(header(0), 1000)
    assert history.rejections()["rejected_by_lag"][64] == 1


def test_a_restored_history_goes_on_as_if_nothing_had_been():
    history = History()
    play(history, 70)
    for version in (1, 1, 2):
        history.reject(header(version, steps=9), 20)
    history.arrive([("b", header(games=0, open_since_ms=NOW - 1)), ("a", one_game(3))], "ab", NOW)
    history.versions_passed.published(19, NOW - 10)
    history.versions_passed.arrive([header(12)])
    before = codec.encode(history.state())
    successor = restored({"history": history.state()})
    assert codec.encode(successor.state()) == before
    for each in (history, successor):
        play(each, 60, start=70)
        each.reject(header(1, steps=9), 20)
        each.arrive([("b", one_game(5, age_ms=1))], "ab", NOW)
    assert codec.encode(history.state()) != before
    assert codec.encode(successor.state()) == codec.encode(history.state())
    assert successor.metrics() == history.metrics()
    assert successor.versions_passed.limit == history.versions_passed.limit == 4 + 7
    assert successor.rejections() == {"rejected_by_lag": {19: 3, 18: 1}, "rejected_by_length": {16: 4}}


# Their bounds are tested where they are.
_OTHERS = {"begin_order", "games", "own_metrics"}


def test_a_history_is_bounded_whatever_is_consumed():
    history = History()
    for number in range(1000):
        many = header(games=Episodes((1.0,) * 30, (1,) * 30, (NOW - number,) * 30), open_since_ms=NOW - 5000)
        history.arrive([("a", many)], "a", NOW)
        history.accept(many, [(1, 4), (2, 2)], NOW)
        history.reject(header(steps=2 ** (number % 53), games=1, version=number), 2000)
        history.versions_passed.published(number, NOW)
        history.versions_passed.arrive([header(0)])
    state = history.state()
    assert {name: len(value) for name, value in state.items() if name not in _OTHERS} == {
        "returns": 100,
        "lengths": 100,
        "wins": 0,
        "staleness": 256,
        "staleness_steps": 256,
        "age_s": 256,
        "rejected_by_lag": 1,
        "rejected_by_length": 53,
        "versions_passed": 256,
        "labels": 0,
    }
    assert len(state["begin_order"]["waiting"]) == WAITING_MAX
    assert len(codec.encode(state)) < 400_000


def test_a_game_s_own_metrics_are_over_the_same_games_as_the_returns_and_survive_a_successor():
    history, waits = History(), History()
    for number in range(GAMES + 20):
        episodes = Episodes((float(number),), (1,), (NOW,), None, ((("supply", float(number)),),))
        history.arrive([("a", header(games=episodes))], "a", NOW)
        # One that began before is still in play.
        waits.arrive([("a", header(games=episodes, open_since_ms=NOW - 1000))], "a", NOW)
    metrics = history.metrics()
    assert history.state()["begin_order"]["metrics"] == []  # nothing is kept of games that no longer wait
    assert metrics["metric_supply"] == metrics["return_mean"] == np.mean(range(20, GAMES + 20))
    assert "metric_supply" not in waits.metrics()
    successor = restored({"history": waits.state()})
    successor.arrive([("a", header(games=0))], "a", NOW)  # it ended without a result
    assert successor.own_means() == history.own_means() == {"supply": metrics["return_mean"]}


def test_rejected_entries_games_count_in_their_own_metrics_too():
    """As they do in the returns: `arrive` is told of all entries, before any is rejected."""
    history = History()
    for value in (1.0, 3.0):
        late = header(version=1, games=Episodes((value,), (1,), (NOW,), None, ((("supply", value),),)))
        history.arrive([("a", late)], "a", NOW)
        history.reject(late, 20)
    assert history.own_means() == {"supply": 2.0}


def test_a_state_of_before_there_were_own_metrics_is_read():
    history = History()
    history.arrive([("a", header(games=Episodes((1.0,), (1,), (NOW,)), open_since_ms=NOW - 1000))], "a", NOW)
    state = history.state()
    del state["own_metrics"], state["begin_order"]["metrics"]
    state["begin_order"]["waiting"] = state["begin_order"]["waiting"][:, :4]
    successor = restored({"history": state})
    successor.arrive([("a", header(games=0))], "a", NOW)
    assert successor.metrics()["return_mean"] == 1.0


def test_own_metrics_of_evaluations_are_in_no_figure_and_nothing_is_kept_of_them():
    """As an actor may send them; a client sends none."""
    history = History()
    for value in (1.0, 5.0):
        games = Episodes((value,), (1,), (NOW,), None, ((("supply", value),),))
        history.arrive([("a", header(games=games, evaluation=value > 2))], "a", NOW)
    assert history.own_means() == {"supply": 1.0}
    assert history.metrics()["return_mean"] == 1.0
    assert history.state()["begin_order"]["metrics"] == []
