"""The protocol: whatever comes in is one of its requests, or is refused, and takes little memory either way."""

from __future__ import annotations

import tracemalloc

import msgpack
import numpy as np
import pytest
from support.paths import DOCS
from support.served import framed

from broodmind.actors.serve.protocol import (
    MAX_FRAME,
    MAX_LABELS,
    MAX_LIST,
    Abort,
    Act,
    Begin,
    End,
    Hello,
    InvalidRequest,
    LogMetric,
    Reward,
    frame,
    parse,
)
from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.wire.codec import MAX_TEXT

REQUESTS = [
    ({"type": "hello", "protocol": 1}, Hello(1)),
    (
        {"type": "hello", "protocol": 1, "observation_shape": [2, 3], "masked": False, "wait_s": 1.5},
        Hello(1, (2, 3), None, masked=False, wait_s=1.5),
    ),
    ({"type": "hello", "protocol": 1, "actions": {"kind": "discrete", "n": 3}}, Hello(1, actions=Discrete(3))),
    (
        {"type": "hello", "protocol": 1, "actions": {"kind": "multi_discrete", "sizes": [3, 2]}},
        Hello(1, actions=MultiDiscrete((3, 2))),
    ),
    (
        {"type": "hello", "protocol": 1, "actions": {"kind": "box", "low": [-1.0], "high": [1.0]}},
        Hello(1, actions=Box((-1.0,), (1.0,))),
    ),
    ({"type": "episode", "id": 0}, Begin(0, {})),
    ({"type": "episode", "id": 2**63 - 1, "labels": {"map": "m", "n": 1}}, Begin(2**63 - 1, {"map": "m", "n": 1})),
    ({"type": "reward", "id": 1, "value": -2}, Reward(1, -2.0)),
    ({"type": "end", "id": 1, "outcome": "win"}, End(1, "win")),
    ({"type": "log", "id": 1, "name": "supply", "value": 3}, LogMetric(1, "supply", 3.0)),
    ({"type": "end", "id": 1, "outcome": "tie", "reward": 1}, End(1, "tie", 1.0)),
    ({"type": "abort", "id": 1}, Abort(1, "aborted by the client")),
    ({"type": "abort", "id": 1, "reason": "crashed"}, Abort(1, "crashed")),
]


@pytest.mark.parametrize(("message", "request_"), REQUESTS)
def test_a_request_is_read_as_it_was_written(message, request_):
    assert parse(msgpack.packb(message)) == request_


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "hello", "protocol": 1, "observation_shape": 3}, "observation_shape: 3, expected a list of sizes"),
        ({"type": "hello", "protocol": 1, "observation_shape": [3, True]}, "expected a list of sizes"),
        ({"type": "hello", "protocol": 1, "masked": 1}, "masked: 1, expected true or false"),
        (
            {"type": "hello", "protocol": 1, "actions": {"kind": "discrete"}},
            "expected a map as in the reply to a hello",
        ),
        ({"type": "hello", "protocol": 1, "actions": {"kind": "box", "low": 1, "high": 2}}, "expected a map as in the"),
        ({"type": "episode", "id": 1, "labels": ["map"]}, "labels: ['map'], expected a map"),
        ({"type": "episode", "id": 1, "labels": {"n": [1]}}, "labels: n: [1], expected text, a finite number"),
    ],
)
def test_an_invalid_field_of_a_request_is_refused_by_its_name(message, expected):
    with pytest.raises(InvalidRequest) as refused:
        parse(msgpack.packb(message))
    assert expected in str(refused.value)


@pytest.mark.parametrize("observation", [[1, 2.5, -3], np.array([1, 2.5, -3], "<f4").tobytes()])
@pytest.mark.parametrize("mask", [[True, False], b"\1\0"])
def test_observations_and_masks_are_read_from_lists_and_bytes(observation, mask):
    act = parse(msgpack.packb({"type": "act", "id": 4, "observation": observation, "mask": mask}))
    assert isinstance(act, Act)
    assert (act.id, act.observation.tolist(), act.mask.tolist()) == (4, [1, 2.5, -3], [True, False])
    assert act.observation.dtype == np.float32


def test_a_frame_is_its_size_and_its_msgpack():
    message = {"type": "act", "id": 1, "action": 300}
    assert frame(message) == framed(message)
    assert frame(message)[:4] == bytes([0, 0, 0, len(msgpack.packb(message))])


@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * MAX_FRAME,
        b"\x80" * MAX_FRAME,
        b"\xdf\xff\xff\xff\xff" * (MAX_FRAME // 5),
        b"\xdd\x00\x00\x10\x00" * (MAX_FRAME // 5),
        b"\xdc\x10\x00" + (b"\xdc\x10\x00" + b"\x00" * 4096) * 1000,
        b"\x82\xa4type\xa3act\xabobservation\xdd\x00\x40\x00\x00" + b"\x00" * (MAX_FRAME - 30),
        msgpack.packb({"type": "act", "id": 1, "observation": [[]] * MAX_LIST}),
        msgpack.packb({"type": "act", "id": 1, "observation": [0] * (MAX_LIST + 1)}),
        msgpack.packb({"type": "episode", "id": 1, "labels": {str(n): n for n in range(MAX_LABELS + 1)}}),
        msgpack.packb({"type": "abort", "id": 1, "reason": "x" * (MAX_TEXT + 1)}),
        msgpack.packb({"type": "act", "id": 1, "observation": msgpack.ExtType(1, b"x" * 1000)}),
    ],
)
def test_a_hostile_message_is_refused_within_little_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            parse(data)
        assert (
            tracemalloc.get_traced_memory()[1] < 9 * MAX_FRAME
        )  # a thousand nested lists are made before the first is complete
    finally:
        tracemalloc.stop()


def test_the_limits_are_those_of_the_document():
    text = " ".join((DOCS / "serve.md").read_text().split())
    for limit in (
        f"at most {MAX_FRAME >> 20} MiB",
        f"a map at most {MAX_LABELS} fields",
        f"a list at most {MAX_LIST} items",
        f"a text at most {MAX_TEXT} bytes",
    ):
        assert limit in text
