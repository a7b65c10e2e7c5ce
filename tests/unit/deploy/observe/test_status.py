"""The screen of `broodmind status`, from a run as it is in Redis."""

from __future__ import annotations

from broodmind.deploy.observe.run_view import ActorView, RunView
from broodmind.deploy.observe.status import describe
from broodmind.learner.ledger.counters import Counters

HEAD = {"epoch": "1", "version": "7", "commit": "c7", **dict.fromkeys(Counters().to_fields(), "0")}


def lines(stats=None, **beat):
    actor = ActorView("a", 2, 1, 1, {"state": "playing", "version": "7", **beat})
    return describe("x", RunView(HEAD, {"steps": "10", **(stats or {})}, "1-aa", [actor])).splitlines()


def test_a_warning_of_the_learners_is_shown_and_an_empty_one_is_not():
    text = "25% of the steps of the last 30 s were too stale: raise --max-staleness (now 4 versions)"
    assert f"warning    {text}" in lines({"warning_rejected": text})
    assert not [line for line in lines({"warning_rejected": ""}) if "warning" in line]


def test_what_is_wrong_with_the_game_of_actors_is_told_once_for_all_of_them():
    text = "metric suply: reported by no game that has ended; their infos have supply"
    actors = [ActorView(name, 0, 0, 0, {"warning": text}) for name in "abc"] + [
        ActorView("d", 0, 0, 0, {"warning": ""})
    ]
    shown = describe("x", RunView(HEAD, {}, None, actors)).splitlines()
    assert [line for line in shown if "warning" in line] == [f"warning    a and 2 more: {text}"]
    (other,) = (line for line in lines(warning="\x1b[2J" + "9" * 1000) if line.startswith("warning"))
    assert "\x1b" not in other
    assert len(other) < 500


def test_collapses_of_the_return_are_shown_where_there_were_any():
    assert "return     collapses 2   restorations 1" in lines({"collapses": "2", "restorations": "1"})
    assert not [line for line in lines({"collapses": "0", "restorations": "0"}) if "collapses" in line]


def test_an_actors_clock_is_shown_where_it_is_wrong():
    assert lines(clock_skew_ms="-86400000")[-1].endswith("playing   clock -86400 s")
    assert lines(clock_skew_ms="6000")[-1].endswith("playing   clock +6 s")
    for skew in ({}, {"clock_skew_ms": "5000"}, {"clock_skew_ms": "what an actor may write"}):
        assert lines(**skew)[-1].endswith("playing")


def test_what_an_actor_says_of_itself_commands_no_terminal_and_forges_no_line():
    before = len(lines())
    shown = lines(state="\x1b]0;mine\x07\x1b[2J", version="1\nhonest-000 0 0 0 9 playing", elo="\x9b1m" + "9" * 500)
    assert len(shown) == before
    assert "\x1b" not in "".join(shown)
    assert "\x9b" not in "".join(shown)
    assert len(shown[-1]) < 400


def test_a_game_s_own_metrics_have_a_line():
    assert "own        apm 120   supply 3.5" in lines({"metric_supply": "3.5", "metric_apm": "120"})
    assert not [line for line in lines() if line.startswith("own")]
