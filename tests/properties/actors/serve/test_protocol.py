"""The protocol of served games: whatever comes in is a request, or is refused by the one error that says so."""

from __future__ import annotations

import contextlib

import msgpack
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from broodmind.actors.client.fallback_policy import as_flags, uniform
from broodmind.actors.serve.protocol import Abort, Act, Begin, End, Hello, InvalidRequest, Reward, parse

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(
    ["id", "observation", "mask", "value", "outcome", "reward", "labels", "reason", "protocol", "actions", "wait_s"]
)
requests = (Hello, Begin, Act, Reward, End, Abort)
kinds = st.sampled_from(["hello", "episode", "act", "reward", "end", "abort"]) | json_like


def parsed_or_refused(data):
    try:
        return parse(data)
    except InvalidRequest as refused:
        return refused


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_as_a_request_or_refused(data):
    assert isinstance(parsed_or_refused(data), (*requests, InvalidRequest))


@given(kinds, st.dictionaries(fields, json_like, max_size=6))
def test_any_map_is_parsed_as_a_request_or_refused(kind, message):
    assert isinstance(parsed_or_refused(msgpack.packb({"type": kind, **message})), (*requests, InvalidRequest))


numbers = st.integers(-3, 5) | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.booleans()


@given(
    st.fixed_dictionaries({"kind": st.just("discrete"), "n": numbers})
    | st.fixed_dictionaries({"kind": st.just("multi_discrete"), "sizes": st.lists(numbers, max_size=3)})
    | st.fixed_dictionaries(
        {"kind": st.just("box"), "low": st.lists(numbers, max_size=2), "high": st.lists(numbers, max_size=2)}
    )
)
def test_any_action_space_can_be_sampled_or_is_refused(actions):
    with contextlib.suppress(InvalidRequest):
        hello = parse(msgpack.packb({"type": "hello", "protocol": 1, "actions": actions}))
        hash(hello.actions)
        assert np.isfinite(uniform(hello.actions, as_flags(None), np.random.default_rng(1))).all()
