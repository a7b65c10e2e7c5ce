"""What an actor that can wait does while it waits."""

from __future__ import annotations

import pytest
from support.fake_streams import FakeStreams
from support.runs import NEVER, SPEC, fragment

from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.wire.weights import Pointer


class Room(FakeStreams):
    """A stream that is at high water until it has been asked six times; notes how long each question waits."""

    def __init__(self):
        super().__init__(latest=Pointer(1, 1, "c", "d", 10).to_json())
        self.waits_ms = []

    def reply(self, command, answers):
        if command[0] == "XREAD":
            self.waits_ms.append(command[4])
            if len(self.waits_ms) == 6:
                self.entries.clear()
        return super().reply(command, answers)


def joined(server):
    connection = BlockingActorConnection("", "run", "a", server=server, heartbeat_s=0)
    connection.join(SPEC)
    return connection


def test_an_actor_that_waits_for_room_asks_ever_less_often():
    server = Room()
    connection = joined(server)
    connection.push([fragment() for _ in range(SPEC.rollout.high_water)], NEVER)
    connection.wait_for_room(NEVER)
    assert len(server.waits_ms) == 6
    for wait_ms, usual_ms in zip(server.waits_ms, [50, 100, 200, 400, 400, 400], strict=True):
        assert 0.74 * usual_ms < wait_ms <= min(1.26 * usual_ms, 400)


def heartbeats(server):
    return [
        dict(zip(command[2::2], command[3::2], strict=True))
        for command in server.commands
        if command[0] == "HSET" and "roster" not in command[1]
    ]


def test_the_heartbeat_says_what_the_actor_is_doing():
    server = Room()
    connection = joined(server)
    connection.push([fragment() for _ in range(SPEC.rollout.high_water)], NEVER, {"pool": "3"})
    connection.wait_for_room(NEVER)
    connection.push([], NEVER)
    told = heartbeats(server)
    assert [each["state"] for each in told] == ["starting", "starting", *["waiting"] * 6, "playing"]
    assert [each.get("pool") for each in told] == [None, *["3"] * 8]
    assert {each["high_water"] for each in told} == {SPEC.rollout.high_water}
    assert told[-1]["steps"] == SPEC.rollout.high_water * fragment().trajectory.steps


def test_nothing_is_sent_where_there_is_nothing_to_say():
    server = FakeStreams()
    connection = BlockingActorConnection("", "run", "a", server=server, heartbeat_s=1000)
    connection.join(SPEC)
    before = len(server.exchanges)
    connection.push([], NEVER)
    assert len(server.exchanges) == before


@pytest.mark.parametrize("fault", ["request lost", "reply lost"])
def test_a_push_goes_on_until_it_has_succeeded(fault):
    server = FakeStreams()
    connection = joined(server)
    server.script = [fault, fault]
    connection.push([fragment(), fragment()], NEVER)
    assert list(server.entries) == [(connection.incarnation, 1), (connection.incarnation, 2)]
