"""When no actor is left that may send more."""

from __future__ import annotations

import pytest

from broodmind.common.server.keys import Keys
from broodmind.learner.flow.standstill import StandstillWatch


class Actors:
    """A server: actor to the entries in its stream, and whether it is in lock step, by its heartbeat; None: silent."""

    def __init__(self, **actors):
        self.actors, self.asked = actors, 0

    def pipeline(self, commands):
        self.asked += 1
        return [self.reply(name, *self.actors[key.rpartition(":")[2]]) for name, key, *_ in commands]

    def reply(self, command, backlog, lock_step):
        return backlog if command == "XLEN" else [lock_step and b"playing", lock_step]


@pytest.fixture
def clock(monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr("broodmind.learner.flow.standstill.time.monotonic", lambda: float(next(times)))


def watch(actors, *, lock_step=True):
    return StandstillWatch(actors, Keys("x"), lock_step=lock_step)


@pytest.mark.parametrize(
    ("actors", "blocked"),
    [
        ({"a": (1, b"1")}, True),
        ({"a": (0, b"1")}, False),
        ({"a": (1, b"1"), "b": (0, b"1")}, False),
        ({"a": (1, b"1"), "b": (2, b"1")}, True),
        ({"a": (1, b"1"), "silent": (0, None)}, True),
        ({"a": (1, b"1"), "client": (0, b"0")}, True),  # connected, and perhaps idle
        ({"client": (1, b"0")}, True),
        ({"silent": (1, None)}, True),  # nobody is left to add to it
        ({"silent": (0, None)}, False),  # nobody is left, and nothing
    ],
)
def test_all_actors_in_lock_step_must_have_delivered(clock, actors, blocked):
    watched = watch(Actors(**actors))
    watched.look(list(actors), all_taken=True)
    assert (watched.blocked_s > 0) == blocked


@pytest.mark.parametrize(
    ("actors", "blocked"),
    [
        ({"a": (1, b"0")}, False),
        ({"a": (1, None), "client": (0, b"0")}, False),
        ({"a": (1, None)}, True),
        ({"a": (1, None), "b": (0, None)}, True),
        ({"a": (0, None)}, False),
    ],
)
def test_without_lock_step_all_must_have_left(clock, actors, blocked):
    watched = watch(Actors(**actors), lock_step=False)
    watched.look(list(actors), all_taken=True)
    assert (watched.blocked_s > 0) == blocked


def test_it_is_counted_from_the_first_look_that_found_it(clock):
    watched = watch(Actors(a=(4, b"1")))
    watched.look(["a"], all_taken=True)
    first = watched.blocked_s
    watched.look(["a"], all_taken=True)
    assert watched.blocked_s == first + 1


def test_actors_are_only_asked_when_nothing_comes_and_nothing_is_left_to_take(clock):
    server = Actors(a=(4, b"1"))
    watched = watch(server)
    watched.entry_arrives()
    watched.look(["a"], all_taken=True)  # something came since the last look
    watched.look(["a"], all_taken=False)  # nothing came, but what came has not been taken
    assert (server.asked, watched.blocked_s) == (0, 0)
    watched.look(["a"], all_taken=True)
    assert server.asked == 2
    assert watched.blocked_s > 0


def test_an_entry_that_arrives_ends_it_at_once(clock):
    watched = watch(Actors(a=(4, b"1")))
    watched.look(["a"], all_taken=True)
    watched.entry_arrives()
    assert watched.blocked_s == 0
