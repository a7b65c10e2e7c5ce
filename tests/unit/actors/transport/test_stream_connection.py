"""One attempt after the other: what is sent, and what each kind of failure leads to."""

from __future__ import annotations

from operator import attrgetter

import pytest
from support.fake_streams import FakeStreams
from support.runs import SPEC, make_header

from broodmind.actors.transport.ack_journal import read_journals
from broodmind.actors.transport.delivery import REPLAY_S, Delivery
from broodmind.actors.transport.heartbeat import ActorStatus
from broodmind.actors.transport.stream_connection import ActorConnection
from broodmind.common.errors import NameTaken, RedisUnreachable
from broodmind.common.process.clock import now_ms
from broodmind.common.server.server_clock import ServerClock
from broodmind.common.server.streams import NotNow, ReplyError, ServerFull
from broodmind.common.wire.entry_header import Episodes, parse_entry
from broodmind.common.wire.weights import Pointer

STATUS = ActorStatus("playing")
HEADER = make_header(3, 1, 10, 1, 1234)


@pytest.fixture
def server():
    return FakeStreams(latest=Pointer(1, 3, "c", "d", 10).to_json())


@pytest.fixture
def delivery():
    return Delivery()


@pytest.fixture
def connection(server, delivery, tmp_path):
    connection = ActorConnection(
        "", "run", "a", delivery, tmp_path, server=server, heartbeat_s=1000, clock=lambda: server.now_s
    )
    connection.enter()
    connection.round_trip(STATUS)
    server.exchanges.clear()
    return connection


def put(delivery, count):
    for number in range(count):
        delivery.put(HEADER, b"%d" % number)


def sent(server):
    """Ids of all XADDs that the server received, with the incarnation left out."""
    return [int(command[2].partition("-")[2]) for command in server.commands if command[0] == "XADD"]


def test_new_entries_and_queries_share_one_pipeline(connection, delivery, server):
    put(delivery, 3)
    assert connection.round_trip(STATUS) == 3
    assert server.exchanges == [3]
    assert [command[0] for command in server.commands[-6:]] == ["XADD", "XADD", "XADD", "GET", "GET", "XLEN"]
    assert (connection.stream_length, connection.latest.version) == (3, 3)


def test_the_rate_in_a_heartbeat_is_that_of_the_last_seconds(server, delivery, monkeypatch):
    monkeypatch.setattr("broodmind.common.process.throughput.monotonic_s", lambda: server.now_s)
    server.now_s = 1000.0
    connection = ActorConnection("", "run", "a", delivery, server=server, heartbeat_s=0, clock=lambda: server.now_s)
    connection.enter()

    def rate(seconds, entries):
        """The rate that is told after some seconds, in each of which so many entries of 10 steps are sent."""
        for _ in range(seconds):
            server.now_s += 1
            put(delivery, entries)
            connection.round_trip(STATUS)
        beats = [command for command in server.commands if command[0] == "HSET"]
        fields = dict(zip(beats[-1][2::2], beats[-1][3::2], strict=True))
        return fields["steps_per_second"]

    assert rate(10, 1) == "10"
    assert rate(3600, 0) == "0"  # nobody plays
    assert rate(10, 5) == "50"


def test_no_more_is_sent_than_the_caller_allows(connection, delivery, server):
    put(delivery, 3)
    assert [connection.round_trip(STATUS, most=most) for most in (2, 0, 5)] == [2, 0, 1]


def test_no_more_bytes_are_sent_at_once_than_the_caller_allows_and_one_entry(connection, delivery, server):
    for number in range(5):
        delivery.put(HEADER, b"%d" % number * 100)
    assert [connection.round_trip(STATUS, most_bytes=most) for most in (150, 0, 100, 1)] == [2, 0, 1, 1]


def test_after_a_lost_reply_all_is_sent_again_one_by_one_and_new_entries_behind_it(connection, delivery, server):
    put(delivery, 2)
    connection.round_trip(STATUS)
    put(delivery, 2)
    server.script = ["reply lost"]
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    put(delivery, 2)
    assert connection.round_trip(STATUS) == 2
    assert server.exchanges == [2, 2, 1, 1, 1, 1, 2]
    assert sent(server) == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]
    assert len(server.entries) == 6


def test_over_a_slow_link_entries_are_sent_again_some_at_a_time_but_the_first_alone(
    connection, delivery, server, monkeypatch
):
    put(delivery, 200)
    connection.round_trip(STATUS)
    at_once = server.replies

    def replies(commands):
        server.now_s += 0.2
        return at_once(commands)

    monkeypatch.setattr(server, "replies", replies)
    server.broken = True
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    server.exchanges.clear()
    put(delivery, 1)
    assert connection.round_trip(STATUS) == 1
    assert server.exchanges == [1, *[39] * 5, 4, 1]  # 199 would take 40 s one by one
    assert len(server.entries) == 201


def test_after_a_not_now_among_entries_that_are_sent_again_all_are_sent_again(connection, delivery, server):
    put(delivery, 2)
    connection.round_trip(STATUS)
    server.crash(1)
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    server.script = [["taken"], ["busy"]]
    with pytest.raises(NotNow):
        connection.round_trip(STATUS)
    assert server.entries.keys() == {(connection.incarnation, 1)}
    server.entries.clear()  # the next connection leads to a server that has less
    server.last = (0, 0)
    connection.round_trip(STATUS)
    assert len(server.entries) == 2


@pytest.mark.parametrize("call", ["ask_spec", "enter", "versions.fetch_policy"])
def test_a_connection_lost_in_any_call_makes_the_next_round_trip_send_again(connection, delivery, server, call):
    put(delivery, 1)
    connection.round_trip(STATUS)
    server.entries.clear()  # as a server that came back without it
    server.last = (0, 0)
    server.script = ["request lost"]
    with pytest.raises(RedisUnreachable):
        attrgetter(call)(connection)(*([connection.latest, SPEC] if call == "versions.fetch_policy" else []))
    assert connection.round_trip(STATUS) == 0
    assert len(server.entries) == 1


@pytest.mark.parametrize(
    ("answer", "lost"), [(NotNow("BUSY Redis is busy running a script."), True), (ReplyError("WRONGTYPE"), False)]
)
def test_after_a_not_now_another_server_may_answer_and_after_another_error_it_is_the_same(
    connection, delivery, server, monkeypatch, answer, lost
):
    put(delivery, 1)
    connection.round_trip(STATUS)
    monkeypatch.setattr(server, "reply", lambda *_: answer)
    with pytest.raises(type(answer)):
        connection.ask_spec()
    monkeypatch.undo()
    connection.round_trip(STATUS)
    assert sent(server) == ([1, 1] if lost else [1])


def test_safe_entries_are_not_sent_again(connection, delivery, server):
    put(delivery, 1)
    connection.round_trip(STATUS)
    server.now_s += REPLAY_S + 1
    put(delivery, 1)
    connection.round_trip(STATUS)
    server.broken = True
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    connection.round_trip(STATUS)
    assert sent(server) == [1, 2, 2]


@pytest.mark.parametrize(("answer", "error"), [("full", ServerFull), ("busy", NotNow)])
def test_after_a_temporary_refusal_entries_are_sent_again_with_the_same_ids(
    connection, delivery, server, answer, error
):
    put(delivery, 2)
    server.script = [[answer, answer]]
    with pytest.raises(error):
        connection.round_trip(STATUS)
    assert connection.round_trip(STATUS) == 2
    assert sent(server) == [1, 2, 1, 2]


def test_entries_taken_before_a_temporary_refusal_are_sent_again(connection, delivery, server):
    put(delivery, 3)
    server.script = [["busy", "taken", "busy"]]
    with pytest.raises(NotNow):
        connection.round_trip(STATUS)
    assert connection.round_trip(STATUS) == 2
    assert sent(server) == [1, 2, 3, 2, 3, 4]
    assert [payload for _, payload in server.entries.values()] == [b"1", b"2", b"0"]


def test_an_unexpected_error_reply_is_raised_and_no_entry_is_lost(connection, delivery, server, monkeypatch):
    put(delivery, 1)
    monkeypatch.setattr(server, "reply", lambda *_: ReplyError("WRONGTYPE"))
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        connection.round_trip(STATUS)
    monkeypatch.undo()
    assert connection.round_trip(STATUS) == 1
    assert len(server.entries) == 1


def test_an_actor_whose_incarnation_is_taken_enters_with_a_higher_one(connection, delivery, server):
    other = connection.incarnation + 3_600_000  # ahead of the clock for as long as the test takes
    server.incarnation = b"%d c0ffee" % other
    server.add((other, 1))
    put(delivery, 2)
    with pytest.raises(NameTaken, match="'a' is used by another process too"):
        connection.round_trip(STATUS)
    connection.enter()
    assert connection.round_trip(STATUS) == 2
    assert list(server.entries)[1:] == [(other + 1, 1), (other + 1, 2)] == [(connection.incarnation, n) for n in (1, 2)]


def test_the_journal_lists_each_entry_once_under_the_incarnation_that_sent_it(connection, delivery, server, tmp_path):
    first = connection.incarnation
    put(delivery, 2)
    connection.round_trip(STATUS)
    server.broken = True
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    put(delivery, 1)
    connection.round_trip(STATUS)
    connection.enter()
    put(delivery, 1)
    connection.round_trip(STATUS)
    connection.leave()
    journals = read_journals(tmp_path)["a"]
    assert [each.number for each in journals[first]] == [1, 2, 3]
    assert [each.number for each in journals[connection.incarnation]] == [1]
    assert server.commands[-1][0] == "DEL"


def test_a_process_that_resumes_sent_entries_has_a_higher_incarnation_than_theirs(server, tmp_path):
    from broodmind.actors.client.spool import Spool

    spool = Spool(tmp_path)
    spool.number(spool.write(HEADER, b"x"), (1 << 50, 3))  # as if the clock went back
    delivery = Delivery(None, spool)
    connection = ActorConnection("", "run", "a", delivery, server=server)
    connection.enter()
    put(delivery, 1)
    assert connection.round_trip(STATUS) == 1
    assert list(server.entries) == [(1 << 50, 3), ((1 << 50) + 1, 1)]
    spool.close()


def test_times_are_sent_by_the_servers_clock_also_of_what_is_sent_again(server, delivery):
    """What waits for long, in memory or in a spool, has this machine's times until it is sent."""
    ahead_ms = 3_600_000
    connection = ActorConnection(
        "", "run", "a", delivery, server=server, heartbeat_s=0, server_clock=ServerClock(lambda: now_ms() + ahead_ms)
    )
    connection.enter()
    ended_ms = now_ms()
    episodes = Episodes((1.0,), (5,), (ended_ms + ahead_ms - 70,))
    delivery.put(make_header(3, 1, 10, episodes, ended_ms + ahead_ms, open_since_ms=ended_ms + ahead_ms - 30), b"p")
    server.script = ["reply lost"]
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    connection.round_trip(STATUS)
    added = [command[3:] for command in server.commands if command[0] == "XADD"]
    assert len(added) == 2
    for fields in added:
        header, _ = parse_entry([part if isinstance(part, bytes) else str(part).encode() for part in fields])
        assert abs(header.created_ms - ended_ms) < 60_000
        assert header.created_ms - header.episodes.began_ms[0] == 70
        assert header.created_ms - header.open_since_ms == 30
    told = next(command for command in server.commands if command[0] == "HSET" and "clock_skew_ms" in command)
    assert abs(told[told.index("clock_skew_ms") + 1] - ahead_ms) < 60_000


def test_a_reply_that_was_read_late_makes_nothing_safe(connection, delivery, server, monkeypatch):
    put(delivery, 1)
    connection.round_trip(STATUS)
    at_once = server.replies

    def replies(commands):
        found = at_once(commands)
        server.now_s += REPLAY_S + 1  # the process sleeps, and the server crashes meanwhile
        return found

    monkeypatch.setattr(server, "replies", replies)
    connection.round_trip(STATUS)
    monkeypatch.undo()
    server.entries.clear()
    server.last, server.broken = (0, 0), True
    with pytest.raises(RedisUnreachable):
        connection.round_trip(STATUS)
    connection.round_trip(STATUS)
    assert len(server.entries) == 1
