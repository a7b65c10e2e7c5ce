"""How actors are found in the database, and how much of the time that takes."""

from __future__ import annotations

import pytest

from broodmind.common.server.keys import Keys
from broodmind.learner.roster.name_scan import NameScan

KEYS = Keys("x")


class Database:
    """Keys in parts, each of which takes so long to find."""

    def __init__(self, *parts, takes_s=0.0):
        self.parts, self.takes_s, self.now_s, self.calls = parts, takes_s, 0.0, 0

    def clock(self):
        return self.now_s

    def call(self, command, cursor, *options):
        assert (command, options[0], options[2]) == ("SCAN", "MATCH", "COUNT")
        assert options[1].startswith("broodmind:{x}:")
        self.now_s += self.takes_s
        self.calls += 1
        part = int(cursor)
        return [b"%d" % ((part + 1) % len(self.parts)), [key.encode() for key in self.parts[part]]]


def test_a_small_database_is_searched_in_one_go_again_and_again():
    server = Database([KEYS.heartbeat("a"), KEYS.trajectories("a")], [KEYS.trajectories("b"), KEYS.head])
    scan = NameScan(server, KEYS, server.clock)
    assert scan.search() == scan.search() == (["a"], ["a", "b"], True)


@pytest.mark.parametrize("key", ["actors:a:b", "actors:", "trajectories:" + "a" * 65, "archive:a", "actors"])
def test_keys_that_are_no_actors_are_passed_over(key):
    server = Database([f"broodmind:{{x}}:{key}"])
    assert NameScan(server, KEYS, server.clock).search() == ([], [], True)


def test_a_large_database_is_searched_in_a_small_part_of_the_time():
    server = Database(*([KEYS.heartbeat(f"a{number}")] for number in range(1000)), takes_s=0.001)
    scan, found = NameScan(server, KEYS, server.clock), []
    searched_s = 0.0
    for _ in range(300):
        began_s = server.now_s
        heartbeats, _, _ = scan.search()
        searched_s += server.now_s - began_s
        server.now_s += 0.2
        found += heartbeats
    assert len(set(found)) == 1000
    assert searched_s < 0.05 * server.now_s


def test_over_a_slow_link_a_new_actor_is_found_in_about_a_second():
    server = Database([KEYS.heartbeat("a")], takes_s=0.25)
    scan = NameScan(server, KEYS, server.clock)
    scan.search()
    server.parts = ([KEYS.heartbeat("b")],)
    began_s = server.now_s
    while "b" not in scan.search()[0]:
        server.now_s += 0.2
    assert server.now_s - began_s < 2
