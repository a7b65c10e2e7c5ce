"""What an actor's key holds, and what it is replaced by."""

from __future__ import annotations

import pytest
from support.fake_streams import FakeStreams

from broodmind.actors.transport.delivery import Delivery
from broodmind.actors.transport.incarnation import incarnation_text, parse_incarnation
from broodmind.actors.transport.stream_connection import ActorConnection
from broodmind.common.errors import RedisDenied
from broodmind.common.server.streams import ReplyError

NOW_MS = 1_700_000_000_000
JUNK = [b"junk", b"-5", b"9" * 5000, b"99999999999999999999999999", b"18446744073709551615", b"1.5", b"\xff", b"7 a b"]


@pytest.fixture
def server():
    return FakeStreams()


def enter(server):
    connection = ActorConnection("", "run", "a", Delivery(), server=server)
    return connection.enter(), connection.incarnation


def test_what_is_written_is_read():
    assert parse_incarnation(incarnation_text(7, "c0ffee").encode()) == 7
    assert parse_incarnation(b"7") == 7


@pytest.mark.parametrize("raw", [None, b"", *JUNK])
def test_what_is_no_start_counts_as_none(raw):
    assert parse_incarnation(raw) == 0


@pytest.mark.parametrize("raw", [None, *JUNK])
def test_an_actor_starts_whatever_its_key_holds(server, raw):
    server.incarnation = raw
    before, ours = enter(server)
    assert before == 0
    assert ours > NOW_MS
    assert parse_incarnation(server.incarnation) == ours


def test_a_start_is_above_the_one_before_even_if_the_clock_went_back(server):
    server.incarnation = b"%d c0ffee" % (1 << 51)
    assert enter(server) == (1 << 51, (1 << 51) + 1)


def test_of_two_that_start_at_once_each_has_its_own(server, monkeypatch):
    monkeypatch.setattr("broodmind.actors.transport.incarnation.now_ms", lambda: NOW_MS)
    assert enter(server) == (0, NOW_MS)
    # The second one has read the key before the first one wrote to it.
    reply, stale = server.reply, [b""]
    server.reply = lambda command, answers: (
        stale.pop() if command[0] == "GETRANGE" and stale else reply(command, answers)
    )
    assert enter(server) == (NOW_MS, NOW_MS + 1)


def test_a_key_of_another_type_is_replaced_and_another_error_raised(server, monkeypatch):
    reply = server.reply
    errors = {"GETRANGE": ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")}
    monkeypatch.setattr(server, "reply", lambda command, answers: errors.get(command[0]) or reply(command, answers))
    before, ours = enter(server)
    assert (before, parse_incarnation(server.incarnation)) == (0, ours)
    errors["GETRANGE"] = RedisDenied("NOPERM")
    with pytest.raises(RedisDenied):
        enter(server)
    errors["GETRANGE"] = ReplyError("ERR unknown")
    with pytest.raises(ReplyError, match="unknown"):
        enter(server)
