"""One game from the wait for a policy to the report of its outcome, with an agent and a match that are fakes."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from broodmind.actors.starcraft2 import actor
from broodmind.common.errors import GameCrashed, RedisDenied, SpecMismatch
from broodmind.common.process.shutdown import Stop

MATCH = SimpleNamespace(map="Flat", opponent="zerg:easy")


class Agent:
    """Is ready and has sent its games, or not; each wait in vain calls `on_wait`."""

    actor = "a-000"

    def __init__(self, *, ready, sent=True, connection="connected", problem="", on_wait=lambda: None):
        self.ready, self.sent, self.on_wait = ready, sent, on_wait
        self.status = SimpleNamespace(connection=connection, problem=problem, epoch=2)

    def wait_until_ready(self, _timeout_s):
        if not self.ready:
            self.on_wait()
        return self.ready

    def flush(self, _timeout_s):
        if not self.sent:
            self.on_wait()
        return self.sent

    def episode(self, **_labels):
        return nullcontext(SimpleNamespace(version=7))


class Progress:
    def __init__(self):
        self.heartbeats, self.reported = 0, {}

    def heartbeat(self):
        self.heartbeats += 1

    def report(self, **fields):
        self.reported |= fields


@pytest.fixture
def progress():
    return Progress()


@pytest.fixture
def play(monkeypatch, progress):
    """Plays a game with an agent; returns the outcomes of the matches that were played."""

    def play(agent, stop, outcome="win"):
        played = []

        def play_match(*_):
            played.append(outcome)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(actor, "connect", lambda *_, **__: nullcontext(agent))
        monkeypatch.setattr(actor, "play_match", play_match)
        actor.play("url", "run", "a-000", MATCH, stop, progress)
        return played

    return play


def test_a_game_is_played_and_reported_with_its_version(play, progress):
    assert play(Agent(ready=True), Stop()) == ["win"]
    assert progress.reported == {"version": "2-7", "outcome": "win", "reason": ""}


def test_told_to_stop_before_there_is_a_policy_it_plays_nothing(play, progress):
    stop = Stop()
    assert play(Agent(ready=False, on_wait=stop.request), stop) == []
    assert progress.reported == {}
    assert progress.heartbeats == 1


@pytest.mark.parametrize(("connection", "error"), [("denied", RedisDenied), ("misfit", SpecMismatch)])
def test_what_waiting_would_not_mend_ends_it_with_the_agents_problem(play, progress, connection, error):
    with pytest.raises(error, match="what is wrong"):
        play(Agent(ready=False, connection=connection, problem="what is wrong"), Stop())
    assert progress.reported == {}


def test_a_game_that_could_not_be_sent_before_the_stop_says_so(play, progress):
    stop = Stop()
    assert play(Agent(ready=True, sent=False, on_wait=stop.request), stop) == ["win"]
    assert progress.reported["outcome"] == "win"
    assert progress.reported["reason"].startswith("not delivered")
    assert progress.heartbeats == 1


def test_a_crash_is_reported_with_its_reason_and_raised(play, progress):
    with pytest.raises(GameCrashed):
        play(Agent(ready=True), Stop(), GameCrashed("StarCraft II ended"))
    assert progress.reported == {"version": "2-7", "outcome": "crashed", "reason": "StarCraft II ended"}
