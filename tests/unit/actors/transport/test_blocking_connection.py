"""What an actor that can wait does while it waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_streams import FakeStreams
from support.runs import NEVER, SPEC, fragment

from broodmind.actors.transport.blocking_connection import BlockingActorConnection
from broodmind.common.wire.demand import Demand
from broodmind.common.wire.weights import Pointer

STEPS = 9  # of a fragment, as a batch counts them: eight, and a game's end


def demand(steps, batch_steps=10_000, payload_bytes=1 << 20, serial=1):
    return Demand(serial, steps, 0, payload_bytes, batch_steps, 0).to_json()


class Room(FakeStreams):
    """A stream that leaves no room until it has been asked six times; notes how long each question waits."""

    def __init__(self):
        super().__init__(latest=Pointer(1, 1, "c", "d", 10).to_json(), demand=demand(4 * STEPS))
        self.waits_ms = []

    def reply(self, command, answers):
        if command[0] == "XREAD":
            self.waits_ms.append(command[4])
            if len(self.waits_ms) == 6:
                self.entries.clear()
        return super().reply(command, answers)


def joined(server, spec=SPEC):
    connection = BlockingActorConnection("", "run", "a", server=server, heartbeat_s=0)
    connection.join(spec)
    return connection


def test_an_actor_that_waits_for_room_polls_less_and_less_often():
    server = Room()
    connection = joined(server)
    connection.push([fragment() for _ in range(4)], NEVER)
    connection.wait_for_room(NEVER)
    assert len(server.waits_ms) == 6
    for wait_ms, usual_ms in zip(server.waits_ms, [50, 100, 200, 400, 400, 400], strict=True):
        assert 0.74 * usual_ms < wait_ms <= min(1.26 * usual_ms, 400)


@pytest.mark.parametrize(("steps", "waits"), [(8 * STEPS, 0), (4 * STEPS, 6)])
def test_an_actor_goes_on_while_as_much_again_has_room(steps, waits):
    server = Room()
    connection = joined(server)
    server.demand = demand(steps, serial=2)  # in which it has been counted
    connection.push([fragment() for _ in range(4)], NEVER)
    connection.wait_for_room(NEVER)
    assert len(server.waits_ms) == waits


def test_a_new_demand_lets_it_go_on_though_nothing_was_consumed():
    server = Room()
    server.demand = demand(STEPS)
    connection = joined(server)
    connection.push([fragment()], NEVER)
    server.script = [[]] * 2

    def raised(command, answers):
        if len(server.waits_ms) == 2:
            server.demand = demand(2 * STEPS, serial=2)
        return Room.reply(server, command, answers)

    server.reply = raised
    connection.wait_for_room(NEVER)
    assert len(server.waits_ms) <= 3
    assert len(server.entries) == 1


def test_nobody_waits_for_room_in_lock_step():
    server = Room()
    connection = joined(server, replace(SPEC, rollout=replace(SPEC.rollout, lock_step=True)))
    connection.push([fragment() for _ in range(9)], NEVER)
    connection.wait_for_room(NEVER)
    assert server.waits_ms == []


def test_a_fragment_that_is_too_large_for_the_batch_goes_as_several_entries():
    server = FakeStreams(latest=Pointer(1, 1, "c", "d", 10).to_json(), demand=demand(40, batch_steps=12))
    connection = joined(server)
    connection.push([fragment()], NEVER)  # 4 steps of 2 columns
    assert len(server.entries) == 2
    in_lock_step = joined(
        FakeStreams(demand=server.demand), replace(SPEC, rollout=replace(SPEC.rollout, lock_step=True))
    )
    in_lock_step.push([fragment()], NEVER)
    assert in_lock_step.delivery.sent == 1


def heartbeats(server):
    return [dict(zip(command[2::2], command[3::2], strict=True)) for command in server.commands if command[0] == "HSET"]


def test_the_heartbeat_says_what_the_actor_is_doing():
    server = Room()
    connection = joined(server)
    connection.push([fragment() for _ in range(4)], NEVER, {"pool": "3"})
    connection.wait_for_room(NEVER)
    connection.push([], NEVER)
    told = heartbeats(server)
    assert [each["state"] for each in told] == ["starting", "starting", *["waiting"] * 6, "playing"]
    assert [each.get("pool") for each in told] == [None, *["3"] * 8]
    assert [each["credit_steps"] for each in told] == ["", *[4 * STEPS] * 8]
    assert [each["unconsumed_steps"] for each in told] == [0, 0, *[4 * STEPS] * 6, 0]
    assert {each["lock_step"] for each in told} == {0}
    assert told[-1]["steps"] == 4 * fragment().trajectory.steps


def test_an_empty_push_sends_nothing_before_a_heartbeat_is_due():
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
