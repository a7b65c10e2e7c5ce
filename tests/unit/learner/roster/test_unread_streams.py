"""Streams that nobody reads: what is told of them, and when."""

from __future__ import annotations

import pytest
from support.fake_clock import FakeClock

from broodmind.common.errors import LeaseLost
from broodmind.common.server.keys import Keys
from broodmind.common.server.streams import ReplyError
from broodmind.learner.commit.lease import Lease
from broodmind.learner.roster.unread_streams import LOOKED_AT_ONCE, UnreadStreams

KEYS = Keys("x")
LEASE = Lease(KEYS, 5000)
LEASE.token = "1-token"


class Server:
    """Streams, each of so many entries of a kilobyte. `nobodys` may be deleted."""

    def __init__(self, **streams):
        self.streams, self.nobodys, self.lease = streams, set(), LEASE.token
        self.stats, self.written, self.looked_at = {}, 0, []

    def script(self, _script, keys, token, *arguments):
        if token != self.lease:
            raise ReplyError("FENCED the lease is not " + token)
        pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
        if keys[-1] == KEYS.stats:
            self.stats, self.written = pairs, self.written + 1
            return 0
        self.looked_at += pairs
        return [part for name, order in pairs.items() for part in self._look(name, order)]

    def _look(self, name, order):
        entries = self.streams.get(name, 0)
        deleted = bool(entries) and (order == "delete" or (order == "spare" and name in self.nobodys))
        if deleted:
            del self.streams[name]
        return entries, entries << 10, int(deleted)


def watch(server, clock=None, *, trim=False, admits=lambda _: True):
    return UnreadStreams(server, KEYS, LEASE, admits, clock or FakeClock(), trim=trim)


def test_they_are_counted_and_the_largest_are_named():
    server = Server(**{f"a{number}": number for number in range(8)})
    unread = watch(server)
    unread.found(list(server.streams))
    unread.look()
    assert (server.stats["unread_streams"], server.stats["unread_bytes"]) == (7, 28 << 10)
    text = server.stats["warning_unread"]
    assert text.startswith("7 streams that nobody reads hold 0.0 MB: a7, a6, a5, a4, a3 and 2 more; ")
    assert "--admit" in text
    assert "--trim-unread" in text


def test_where_none_is_left_the_warning_ends():
    server, clock = Server(a=2), FakeClock()
    unread = watch(server, clock)
    unread.found(["a"])
    unread.look()
    clock.now_s = 2
    unread.found([])
    unread.look()
    assert server.stats == {"unread_streams": 0, "unread_bytes": 0, "unread_trimmed": 0, "warning_unread": ""}


def test_that_there_is_none_is_said_once():
    server, clock = Server(), FakeClock()
    unread = watch(server, clock)
    for _ in range(5):
        unread.found([])
        unread.look()
        clock.now_s += 2
    assert (server.written, server.stats["unread_streams"], server.looked_at) == (1, 0, [])


def test_of_many_a_few_are_looked_at_at_a_time_and_nothing_is_said_before_all_were():
    names = [f"a{number}" for number in range(3 * LOOKED_AT_ONCE)]
    server = Server(**dict.fromkeys(names, 1))
    unread = watch(server)
    unread.found(names)
    for turn in range(1, 4):
        assert server.stats == {}
        unread.look()
        assert len(set(server.looked_at)) == turn * LOOKED_AT_ONCE
    assert server.stats["unread_streams"] == len(names)


def test_they_are_deleted_only_if_told_so_and_what_may_still_be_admitted_is_kept():
    server, clock = Server(evil=3, waiting=2, unlisted=1), FakeClock()
    server.nobodys = {"evil"}
    admits = {"evil", "waiting"}.__contains__
    kept = watch(server, clock, admits=admits)
    kept.found(list(server.streams))
    kept.look()
    assert len(server.streams) == 3
    unread = watch(server, clock, trim=True, admits=admits)
    unread.found(list(server.streams))
    unread.look()
    assert server.streams == {"waiting": 2}
    assert (server.stats["unread_streams"], server.stats["unread_trimmed"]) == (1, 4)
    assert "waiting; their actors may still be admitted" in server.stats["warning_unread"]


def test_without_the_lease_nothing_is_deleted():
    server = Server(evil=3)
    server.nobodys, server.lease = {"evil"}, "2-other"
    unread = watch(server, trim=True)
    unread.found(["evil"])
    with pytest.raises(LeaseLost):
        unread.look()
    assert server.streams == {"evil": 3}
