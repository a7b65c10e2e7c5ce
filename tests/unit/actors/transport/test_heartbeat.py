"""What a heartbeat says."""

from __future__ import annotations

from broodmind.actors.transport.heartbeat import ActorStatus, heartbeat_commands, heartbeat_fields
from broodmind.common.server.keys import Keys
from broodmind.common.wire.weights import Pointer

COUNTS = {"steps": 30, "games": 2, "steps_per_second": 19.6, "overflow": 4, "unconsumed_steps": 10, "clock_skew_ms": -7}


def test_it_tells_what_the_actor_does_and_with_which_version():
    status = ActorStatus("waiting", 64, lock_step=True, metrics={"supply": "12"})
    fields = heartbeat_fields(status, latest=Pointer(2, 5, "c", "d", 10), **COUNTS)
    told = {key: fields[key] for key in ("state", "credit_steps", "lock_step", "epoch", "version", "supply")}
    assert told == {"state": "waiting", "credit_steps": 64, "lock_step": 1, "epoch": 2, "version": 5, "supply": "12"}
    assert fields["steps_per_second"] == "20"
    assert fields.items() >= {name: value for name, value in COUNTS.items() if name != "steps_per_second"}.items()


def test_without_a_version_or_a_demand_it_says_so():
    fields = heartbeat_fields(ActorStatus("starting"), latest=None, **COUNTS)
    assert (fields["epoch"], fields["version"], fields["credit_steps"]) == (0, 0, "")


def test_it_expires_and_stores_the_incarnation_again():
    keys = Keys("run")
    commands = heartbeat_commands(keys, "a", "7 c0ffee", {"state": "playing", "steps": 1})
    assert commands[:2] == [
        ("SET", keys.incarnation("a"), "7 c0ffee"),
        ("HSET", keys.heartbeat("a"), "state", "playing", "steps", 1),
    ]
    name, key, ttl_ms = commands[2]
    assert (name, key) == ("PEXPIRE", keys.heartbeat("a"))
    assert ttl_ms > 1000
