"""When every live actor waits for the learner."""

from __future__ import annotations

import pytest

from broodmind.common.server.keys import Keys
from broodmind.common.spec import RolloutSpec
from broodmind.learner.ingest.standstill import StandstillWatch


class Actors:
    """A server: actor to (entries in its stream, state, high water mark in its heartbeat)."""

    def __init__(self, **actors):
        self.actors, self.asked = actors, 0

    def pipeline(self, commands):
        self.asked += 1
        found = []
        for name, key, *_ in commands:
            backlog, state, mark = self.actors[key.rpartition(":")[2]]
            found.append(backlog if name == "XLEN" else [state, mark])
        return found


@pytest.fixture
def clock(monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr("broodmind.learner.ingest.standstill.time.monotonic", lambda: float(next(times)))


def watch(actors, **rollout):
    return StandstillWatch(actors, Keys("x"), RolloutSpec(**{"high_water": 4, **rollout}))


@pytest.mark.parametrize(
    ("actors", "rollout", "blocked"),
    [
        ({"a": (4, b"playing", None)}, {}, True),
        ({"a": (3, b"playing", None)}, {}, False),
        ({"a": (4, b"playing", None), "b": (3, b"playing", None)}, {}, False),
        ({"a": (4, b"playing", None), "b": (0, None, None)}, {}, True),  # b is silent
        ({"a": (0, None, None)}, {}, False),  # nobody is left, and nothing
        ({"a": (2, b"playing", b"2")}, {}, True),  # its own mark
        ({"a": (4, b"playing", b"9")}, {}, False),
        ({"a": (4, b"playing", b"9" * 10)}, {}, True),  # no mark that an actor may have
        ({"a": (1, b"playing", None)}, {"lock_step": True}, True),
    ],
)
def test_all_live_actors_must_have_reached_their_marks(clock, actors, rollout, blocked):
    watched = watch(Actors(**actors), **rollout)
    watched.look(list(actors), all_taken=True)
    assert (watched.blocked_s > 0) == blocked


def test_it_is_counted_from_the_first_look_that_found_it(clock):
    watched = watch(Actors(a=(4, b"playing", None)))
    watched.look(["a"], all_taken=True)
    first = watched.blocked_s
    watched.look(["a"], all_taken=True)
    assert watched.blocked_s == first + 1


def test_actors_are_only_asked_when_nothing_comes_and_nothing_is_left_to_take(clock):
    server = Actors(a=(4, b"playing", None))
    watched = watch(server)
    watched.entry_arrives()
    watched.look(["a"], all_taken=True)  # something came since the last look
    watched.look(["a"], all_taken=False)  # nothing came, but what came has not been taken
    assert (server.asked, watched.blocked_s) == (0, 0)
    watched.look(["a"], all_taken=True)
    assert server.asked == 2
    assert watched.blocked_s > 0


def test_an_entry_that_arrives_ends_it_at_once(clock):
    watched = watch(Actors(a=(4, b"playing", None)))
    watched.look(["a"], all_taken=True)
    watched.entry_arrives()
    assert watched.blocked_s == 0
