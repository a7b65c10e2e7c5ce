"""Which actors are read, from what Redis says of them."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock

from broodmind.common.errors import LeaseLost
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ReplyError
from broodmind.learner.commit.lease import Lease
from broodmind.learner.roster.roster import ADMITTED_AT_ONCE, Roster

KEYS = Keys("x")
LEASE = Lease(KEYS, 5000)
LEASE.token = "1-token"
MOST = 300


class Redis:
    """A server with a roster, live actors, streams of so many entries, and pending entries."""

    def __init__(self, *alive):
        self.alive = set(alive)
        self.roster, self.lengths, self.pending = [], {}, {}  # by name
        self.no_streams, self.lease = set(), LEASE.token
        self.incarnations = set()
        self.asked_to_join = []
        self.unread = {}  # by name, what may be done with its stream
        self.stats = {}

    def call(self, command, *_):
        if command == "HSCAN":
            return [b"0", [part for name in self.roster for part in (_raw(name), b"1")]]
        keys = [KEYS.heartbeat("").encode() + _raw(name) for name in self.alive]
        keys += [KEYS.trajectories(name).encode() for name in self.lengths]
        return [b"0", keys]

    def pipeline(self, commands):
        return [
            _of(key) in self.alive if command == "EXISTS" else self.pending.get(_of(key), [])
            for command, key, *_ in commands
        ]

    def script(self, _script, keys, token, *arguments):
        if self.lease != token:
            raise ReplyError("FENCED the lease is not " + token)
        if keys[-1] == KEYS.stats:
            self.stats |= dict(zip(arguments[::2], arguments[1::2], strict=True))
            return 0
        if arguments[-1] in {"keep", "spare", "delete"}:
            self.unread = dict(zip(arguments[::2], arguments[1::2], strict=True))
            return [part for name in self.unread for part in (self.lengths.get(name, 0), 1 << 20, 0)]
        if len(keys) == 5 and len(arguments) == 2:
            return self._depart(*arguments)
        _, _, only_alive, *names = arguments
        return [self._join(name, only_alive) for name in names]

    def _join(self, name, only_alive):
        self.asked_to_join.append(name)
        if name in self.no_streams:
            return b"no stream"
        length = self.lengths.get(name, 0)
        if only_alive and name not in self.alive and not (length and name in self.incarnations):
            return b"silent"
        known = name in self.lengths
        self.lengths.setdefault(name, 0)
        return b"known" if known else b"new"

    def _depart(self, name, alive):
        if (name in self.alive and not alive) or self.lengths.get(name):
            return 0
        self.lengths.pop(name, None)
        return 1


def _raw(name):
    return name if isinstance(name, bytes) else name.encode()


def _of(key):
    return key.rpartition(":")[2]


def ticking():
    """A clock that moves on a little at each look, and as told."""
    return FakeClock(look_s=1e-6)


def a_roster(server, **options):
    return Roster(server, KEYS, LEASE, **{"clock": ticking(), "most": MOST, **options})


def follow(roster, clock=None, *, times=1):
    """Let time pass between any two steps; everything that joined."""
    joined = []
    for _ in range(times):
        joined += roster.follow()
        if clock is not None:
            clock.now_s += 0.2
    return joined


def test_whoever_lives_is_admitted_once_with_what_is_pending_of_it():
    server = Redis("b", "a")
    server.lengths["a"] = 1
    server.pending["a"] = [[b"7-1", b"mind", 0, 1]]
    roster = a_roster(server)
    assert sorted(roster.follow()) == [("a", [[b"7-1", b"mind", 0, 1]]), ("b", [])]
    assert roster.actors == {"a", "b"}
    assert roster.follow() == []


def test_those_on_the_roster_join_first_alive_or_not():
    server = Redis()
    server.roster = ["b", "a"]
    assert [name for name, _ in a_roster(server).follow()] == ["a", "b"]


def test_who_has_left_entries_behind_is_admitted_and_a_stream_of_nobody_is_not():
    server = Redis()
    server.lengths = {"late": 2, "nobody": 2, "drained": 0}
    server.incarnations = {"late", "drained"}
    roster = a_roster(server)
    roster.follow()
    assert roster.actors == {"late"}
    server.asked_to_join.clear()
    roster.follow()
    assert server.asked_to_join == []  # a name that was refused costs nothing
    server.alive.add("nobody")
    roster.follow()
    assert roster.actors == {"late", "nobody"}


@pytest.mark.parametrize("name", ["a:b", "a b", "", "a" * 65, b"\xff"])
def test_a_name_that_may_not_stand_in_a_key_is_passed_over(name):
    server = Redis(name, "a")
    server.roster = [name]
    roster = a_roster(server)
    roster.follow()
    assert roster.actors == {"a"}


def test_whom_the_configuration_does_not_list_is_not_admitted():
    server = Redis("a", "b")
    server.roster = ["c"]
    roster = a_roster(server, admits="a".__eq__)
    roster.follow()
    assert roster.actors == {"a"}
    assert server.asked_to_join == ["a"]


def test_no_more_are_admitted_at_once_than_a_bound_and_no_more_are_read_than_another():
    clock = ticking()
    roster = a_roster(Redis(*(f"a{number:06}" for number in range(MOST + 10))), clock=clock)
    follow(roster, clock)
    assert len(roster.actors) == ADMITTED_AT_ONCE
    follow(roster, clock, times=2 * MOST // ADMITTED_AT_ONCE)
    assert len(roster.actors) == MOST


def test_a_full_roster_admits_a_newcomer_in_the_place_of_one_of_many_that_deliver_nothing():
    clock = ticking()
    server = Redis(*(f"a{number:06}" for number in range(MOST + 10)))
    roster = a_roster(server, clock=clock)
    follow(roster, clock, times=2 * MOST // ADMITTED_AT_ONCE)
    server.alive.add("good-000")
    follow(roster, clock, times=2)
    assert "good-000" in roster.actors
    assert len(roster.actors) == MOST


def test_a_full_roster_of_those_that_delivered_admits_nobody():
    clock = ticking()
    server = Redis(*(f"a{number:06}" for number in range(MOST)))
    roster = a_roster(server, clock=clock)
    follow(roster, clock, times=2 * MOST // ADMITTED_AT_ONCE)
    for name in roster.actors:
        roster.advance(name, b"7-1")
    server.alive.add("good-000")
    follow(roster, clock, times=100)
    assert "good-000" not in roster.actors


def test_a_key_that_is_no_stream_is_left_out_for_good():
    server = Redis("a", "b")
    server.no_streams = {"a"}
    roster = a_roster(server)
    roster.follow()
    server.no_streams = set()
    roster.follow()
    assert roster.actors == {"b"}


def test_without_the_lease_nobody_is_admitted():
    server = Redis("a")
    server.lease = "2-other"
    with pytest.raises(LeaseLost, match="FENCED"):
        a_roster(server).follow()


def test_pending_entries_come_first_and_then_new_ones():
    server = Redis("a", "b")
    server.lengths["a"] = 0
    roster = a_roster(server)
    roster.follow()
    seen = [roster.position("a")]
    for last in (b"7-4", None, b"7-9"):
        roster.advance("a", last)
        seen.append(roster.position("a"))
    assert seen == ["0-0", "7-4", ">", ">"]
    assert roster.position("b") == ">"  # its group is new, so nothing is pending
    assert roster.due() == {"a": ">", "b": ">"}
    assert roster.position("c") is None


def test_an_actor_whose_group_is_gone_joins_anew():
    server = Redis("a")
    roster = a_roster(server)
    roster.follow()
    server.lengths.clear()
    assert roster.join_again(["a"]) == [("a", [])]
    server.no_streams = {"a"}
    assert roster.join_again(["a"]) == []
    assert roster.actors == frozenset()


def test_of_the_silent_those_whose_stream_is_drained_are_struck_off():
    server = Redis("a", "b", "c")
    roster = a_roster(server)
    roster.follow()
    server.alive = {"a"}
    server.lengths["b"] = 1
    roster.strike_off_silent()
    assert roster.actors == {"a", "b"}


def test_an_actor_contributes_when_it_is_new_and_when_it_has_delivered():
    clock = ticking()
    roster = a_roster(Redis("a", "b"), clock=clock)
    follow(roster, clock)
    assert roster.contributing == {"a", "b"}
    roster.advance("a", b"7-1")
    clock.now_s += 60
    roster.follow()
    assert (roster.contributing, roster.actors) == ({"a"}, {"a", "b"})


def test_a_stream_of_nobody_is_unread_when_two_searches_have_found_it():
    clock, server = ticking(), Redis("a")
    server.lengths = {"a": 1, "nobody": 2}
    roster = a_roster(server, clock=clock)
    follow(roster, clock)
    assert server.unread == {}
    follow(roster, clock, times=9)
    assert server.unread == {"nobody": "keep"}
    assert (server.stats["unread_streams"], server.stats["unread_bytes"]) == (1, 1 << 20)
    server.alive.add("nobody")
    follow(roster, clock, times=9)
    assert roster.actors == {"a", "nobody"}
    assert (server.stats["unread_streams"], server.stats["warning_unread"]) == (0, "")


def test_of_whom_the_configuration_does_not_list_the_stream_is_deleted_if_told_so():
    server = Redis("a", "b")
    server.lengths = {"a": 1, "b": 1, "nobody": 1}
    roster = a_roster(server, admits={"a", "nobody"}.__contains__, trim_unread=True)
    follow(roster, times=2)
    assert server.unread == {"b": "delete", "nobody": "spare"}


def test_who_waits_for_its_turn_to_be_admitted_is_not_unread_and_who_finds_no_room_is():
    clock, names = ticking(), [f"a{number:06}" for number in range(MOST + 10)]
    server = Redis(*names)
    server.lengths = dict.fromkeys(names, 1)
    roster = a_roster(server, clock=clock)
    follow(roster, clock, times=3)
    assert len(roster.actors) < MOST
    assert server.unread == {}
    for _ in range(2 * MOST // ADMITTED_AT_ONCE):
        follow(roster, clock)
        for name in roster.actors:
            roster.advance(name, b"7-1")
    follow(roster, clock, times=2)
    assert len(server.unread) == 10


def test_of_thousands_that_join_some_dozens_are_expected_to_deliver():
    clock, names = ticking(), [f"a{number:06}" for number in range(2000)]
    roster = a_roster(Redis(*names), clock=clock, most=4096)
    expected = set()
    for _ in range(50):  # ten seconds
        follow(roster, clock)
        expected |= roster.contributing
    assert len(roster.actors) == 2000
    assert 64 <= len(expected) <= 64 + 5
    roster.advance("a001999", b"7-1")
    follow(roster, clock)
    assert "a001999" in roster.contributing
