"""Which actors are read, from what Redis says of them."""

from __future__ import annotations

import pytest

from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ReplyError
from broodmind.learner.commit.lease import Lease
from broodmind.learner.ingest.roster import ROSTER_MAX, Roster


class Redis:
    """A server with a roster, live actors, pending entries, and answers to scripts by the actor's name."""

    def __init__(self, *names):
        self.names, self.alive, self.pending, self.answers = list(names), set(names), {}, {}

    def call(self, command, key, *_):
        if command == "HKEYS":
            return [name if isinstance(name, bytes) else name.encode() for name in self.names]
        return self.pending.get(key.rpartition(":")[2], [])

    def pipeline(self, commands):
        return [key.rpartition(":")[2] in self.alive for _, key in commands]

    def script(self, _script, keys, *_):
        answer = self.answers.get(keys[-1].rpartition(":")[2], 1)
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_roster(server):
    return Roster(server, Keys("x"), Lease(Keys("x"), 5000))


def test_each_actor_joins_once_with_what_is_pending_of_it():
    server = Redis("b", "a")
    server.pending["a"] = [[b"7-1", b"mind", 0, 1]]
    roster = a_roster(server)
    assert roster.follow() == [("a", [[b"7-1", b"mind", 0, 1]]), ("b", [])]
    assert roster.actors == ("a", "b")
    assert roster.follow() == []


def test_whoever_is_off_the_roster_is_read_no_more():
    server = Redis("a", "b")
    roster = a_roster(server)
    roster.follow()
    server.names.remove("a")
    roster.follow()
    assert roster.actors == ("b",)


@pytest.mark.parametrize("name", ["a:b", "a b", "", "a" * 65, b"\xff"])
def test_a_name_that_may_not_stand_in_a_key_is_passed_over(name):
    roster = a_roster(Redis(name, "a"))
    roster.follow()
    assert roster.actors == ("a",)


def test_a_flooded_roster_is_read_up_to_a_bound():
    roster = a_roster(Redis(*(f"a{number}" for number in range(ROSTER_MAX + 10))))
    roster.follow()
    assert len(roster.actors) == ROSTER_MAX


def test_a_key_that_is_no_stream_is_left_out_for_good():
    server = Redis("a", "b")
    server.answers["a"] = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
    roster = a_roster(server)
    roster.follow()
    server.answers.clear()
    roster.follow()
    assert roster.actors == ("b",)


def test_a_group_that_is_there_already_is_no_error_and_any_other_answer_is():
    server = Redis("a")
    server.answers["a"] = ReplyError("BUSYGROUP Consumer Group name already exists")
    roster = a_roster(server)
    roster.follow()
    assert roster.actors == ("a",)
    server.names.append("b")
    server.answers["b"] = ReplyError("LOADING")
    with pytest.raises(ReplyError, match="LOADING"):
        roster.follow()


def test_pending_entries_come_first_and_then_new_ones():
    roster = a_roster(Redis("a"))
    roster.follow()
    seen = [roster.positions["a"]]
    for last in (b"7-4", None, b"7-9"):
        roster.advance("a", last)
        seen.append(roster.positions["a"])
    assert seen == ["0-0", "7-4", ">", ">"]


def test_of_the_silent_those_whose_stream_is_drained_are_struck_off():
    server = Redis("a", "b", "c")
    roster = a_roster(server)
    roster.follow()
    server.alive = {"a"}
    server.answers["b"] = 0  # it has entries left
    roster.strike_off_silent()
    assert roster.actors == ("a", "b")
