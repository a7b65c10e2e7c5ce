"""For how long no actor has been left that may send more, and when the server is asked."""

from __future__ import annotations

import pytest

from broodmind.common.server.keys import Keys
from broodmind.learner.flow.standstill import StandstillWatch


class Server:
    """Says whether entries wait, and whether any actor may send more."""

    def __init__(self, *, wait=1, come=0):
        self.reply, self.asked = [wait, come], 0

    def script(self, _script, _keys, _lock_step):
        self.asked += 1
        return self.reply


@pytest.fixture
def clock(monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr("broodmind.learner.flow.standstill.time.monotonic", lambda: float(next(times)))


def watch(server):
    return StandstillWatch(server, Keys("x"), lock_step=True)


@pytest.mark.parametrize(("wait", "come", "blocked"), [(1, 0, True), (1, 1, False), (0, 0, False), (0, 1, False)])
def test_it_stands_still_where_entries_wait_and_none_come(clock, wait, come, blocked):
    watched = watch(Server(wait=wait, come=come))
    watched.look(["a"], all_taken=True)
    assert (watched.blocked_s > 0) == blocked


def test_it_is_counted_from_the_first_look_that_found_it(clock):
    watched = watch(Server())
    watched.look(["a"], all_taken=True)
    first = watched.blocked_s
    watched.look(["a"], all_taken=True)
    assert watched.blocked_s == first + 1


def test_actors_are_only_asked_when_nothing_comes_and_nothing_is_left_to_take(clock):
    server = Server()
    watched = watch(server)
    watched.entry_arrives()
    watched.look(["a"], all_taken=True)  # something came since the last look
    watched.look(["a"], all_taken=False)  # nothing came, but what came has not been taken
    assert (server.asked, watched.blocked_s) == (0, 0)
    watched.look(["a"], all_taken=True)
    assert server.asked == 1
    assert watched.blocked_s > 0


def test_an_entry_that_arrives_ends_it_at_once(clock):
    watched = watch(Server())
    watched.look(["a"], all_taken=True)
    watched.entry_arrives()
    assert watched.blocked_s == 0
