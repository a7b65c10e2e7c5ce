"""Weights that are fetched in parts, from a server that may delete them meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.fake_streams import FakeStreams
from support.runs import SPEC

from broodmind.actors.transport.delivery import Delivery
from broodmind.actors.transport.heartbeat import ActorStatus
from broodmind.actors.transport.stored_versions import CHUNK_BYTES, StoredVersions
from broodmind.actors.transport.stream_connection import ActorConnection
from broodmind.common.errors import WireError
from broodmind.common.policy.network import initial_params
from broodmind.common.server.keys import Keys
from broodmind.common.spec import NetworkSpec
from broodmind.common.wire.weights import Pointer, digest, encode_weights


@pytest.fixture
def server():
    return FakeStreams()


class Weights:
    """What the server has of weights: `left` parts until the version is deleted."""

    def __init__(self, server, blob, left):
        self.blob, self.left, self.asked, self._others = blob, left, [], server.reply

    def reply(self, command, answers):
        if ":weights:" not in str(command[1]):
            return self._others(command, answers)
        self.asked.append(command[0])
        if command[0] == "GET":
            return self.blob
        self.left -= 1
        return self.blob[command[2] : command[3] + 1] if self.left >= 0 else b""


LARGE = replace(SPEC, network=NetworkSpec(hidden=(256, 256)))
BLOB = encode_weights(initial_params(LARGE.network, LARGE.game, np.random.default_rng(1)), LARGE)
POINTER = Pointer(1, 3, "c", digest(BLOB), len(BLOB))


def test_weights_that_are_deleted_before_all_parts_are_fetched_come_in_one_reply_next(server, monkeypatch):
    weights, parts = Weights(server, BLOB, left=1), []
    monkeypatch.setattr(server, "reply", weights.reply)
    versions = StoredVersions(Keys("run"), server, server.call, lambda: parts.append("part"))
    with pytest.raises(WireError):
        versions.fetch_policy(POINTER, LARGE)
    assert versions.fetch_policy(POINTER, LARGE).pointer == POINTER
    assert parts == ["part", "part"]
    assert weights.asked == ["GETRANGE", "GETRANGE", "GET"]


@pytest.mark.parametrize("entered", [True, False])
def test_heartbeats_go_on_while_large_weights_are_fetched(server, monkeypatch, entered):
    connection = ActorConnection("", "run", "a", Delivery(), server=server, heartbeat_s=0.0)
    if entered:  # otherwise it only reads, and may have no right to more
        connection.enter()
        connection.round_trip(ActorStatus("playing"))
    before = len(server.commands)
    monkeypatch.setattr(server, "reply", Weights(server, BLOB, left=100).reply)
    connection.versions.fetch_policy(POINTER, LARGE)
    parts = -(-len(BLOB) // CHUNK_BYTES)
    beats = [command[0] for command in server.commands[before:]].count("HSET")
    assert (parts > 1, beats) == (True, parts if entered else 0)
