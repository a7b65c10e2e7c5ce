"""Trajectories on the wire: they arrive as they were sent, and what does not fit is refused by the field's name."""

import math
import re
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.payloads import (
    ACTOR,
    ARRAYS,
    BYTES,
    CREATED_MS,
    NUMBERS,
    PLAIN,
    RICH,
    SEVERAL,
    altered,
    assert_refused,
    assert_same,
    decode_both,
    encoded,
    header_of,
    make_trajectory,
)

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import WireError
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.entry_header import Episodes, parse_entry
from broodmind.common.wire.trajectory import (
    MAX_BYTES,
    MAX_COLUMNS,
    decode_trajectory,
    encode_trajectory,
)
from broodmind.learner.algorithms.batch import collate


@settings(max_examples=300)
@given(
    st.sampled_from([(), (1,), (3,), (2, 2)]).map(lambda shape: (*shape, 2)),
    st.sampled_from([Discrete(3), MultiDiscrete((2, 4, 3)), Box((0.0, -1.0), (1.0, 1.0)), Box((0.0,), (1.0,))]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["float32", "uint8"]),
    st.booleans(),
    st.integers(1, 16),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from([0, 1, 100]),
    st.integers(0, 2**32 - 1),
)
def test_a_trajectory_arrives_as_it_was(
    shape, actions, masked, wins, float16, dtype, imported, steps, columns, endings, spread, seed
):
    game = GameSpec("any", shape, actions, masked=masked and bool(actions.sizes), wins=wins, observation_dtype=dtype)
    spec = RunSpec(game, rollout=RolloutSpec(fragment_length=16, float16=float16))
    sent = make_trajectory(spec, steps=steps, columns=columns, endings=endings, spread=spread, seed=seed)
    if imported and seed % 2:  # how it ended may be unknown
        sent = replace(sent, episodes=replace(sent.episodes, wins=None))
    header = header_of(sent, version=seed, imported=imported)
    parsed, payload = parse_entry(header.to_bytes(encode_trajectory(sent, ACTOR, spec)))
    assert parsed == header
    assert_same(sent, decode_both(payload, parsed, spec))


def test_half_floats_halve_the_observations_and_keep_three_digits():
    narrow = replace(PLAIN, rollout=replace(PLAIN.rollout, float16=True))
    sent = replace(make_trajectory(PLAIN), observations=np.full((6, 2, 3), 1.234567, np.float32))
    wide_payload, payload = (encode_trajectory(sent, ACTOR, spec) for spec in (PLAIN, narrow))
    assert len(wide_payload) - len(payload) == 2 * sent.observations.size
    found = decode_trajectory(payload, header_of(sent), ACTOR, narrow).observations
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, sent.observations, rtol=1e-3)
    assert (found != sent.observations).all()


def test_bytes_stay_bytes_and_take_a_quarter():
    spec = replace(PLAIN, game=replace(PLAIN.game, observation_dtype="uint8"))
    sent = make_trajectory(spec)
    payload = encode_trajectory(sent, ACTOR, spec)
    wide = encode_trajectory(replace(sent, observations=sent.observations.astype(np.float32)), ACTOR, PLAIN)
    assert len(wide) - len(payload) == 3 * sent.observations.size
    assert msgpack.unpackb(payload)["observations"][0] == "|u1"
    found = decode_both(payload, header_of(sent), spec)
    assert found.observations.dtype == np.uint8
    batch = collate([found, found])
    assert batch.observations.dtype == np.float32
    np.testing.assert_allclose(batch.observations[:, :2], sent.observations / 255, rtol=1e-6)


@pytest.mark.parametrize(("spec", "dtype"), [(PLAIN, "|u1"), (PLAIN, "<f2"), (RICH, "<f4"), (BYTES, "<f4")])
def test_observations_of_another_dtype_than_the_spec_says_are_refused(spec, dtype):
    def change(fields):
        count = math.prod(fields["observations"][1])
        fields["observations"] = [dtype, fields["observations"][1], bytes(np.dtype(dtype).itemsize * count)]

    assert_refused(spec, "observations", change, match=f"dtype '{re.escape(dtype)}', expected")


FLOATS = ["observations", "log_probs", "rewards"]
BOOLS = ["terminated", "truncated", "valid", "masks"]
each_array = pytest.mark.parametrize("name", ARRAYS)


def test_the_tests_cover_every_field_of_a_payload():
    _, payload = encoded(RICH)
    assert set(msgpack.unpackb(payload)) == {*ARRAYS, "format", "actor"}
    assert set(FLOATS) | set(BOOLS) | {"actions", "version_offsets"} == set(ARRAYS)


@pytest.mark.parametrize("dtype", ["V8", "U4", "O", "datetime64", "<M8[s]", ">f4", "f4", "<f8", "|u1", "", b"<f4", 4])
@each_array
def test_a_wrong_dtype_is_refused_by_the_fields_name(name, dtype):
    assert_refused(RICH, name, lambda fields: fields[name].__setitem__(0, dtype), match="dtype")


SHAPES = {
    "longer": lambda dims: [dims[0] + 1, *dims[1:]],
    "shorter": lambda dims: [dims[0] - 1, *dims[1:]],
    "one more": lambda dims: [*dims, 1],
    "one less": lambda dims: dims[:-1],
    "none": lambda _: [],
    "negative": lambda dims: [-1] * len(dims),
    "all negated": lambda dims: [-dim for dim in dims],
    "fractions": lambda dims: [float(dim) for dim in dims],
    "booleans": lambda dims: [True] * len(dims),
    "text": lambda dims: [str(dim) for dim in dims],
    "a number": lambda dims: dims[0],
    "a map": lambda dims: dict(enumerate(map(str, dims))) and {"a": 1},
    "nothing": lambda _: None,
    "too many": lambda _: [1] * codec.MAX_DIMS,
    "huge": lambda dims: [2**62] * len(dims),
    "product 0 mod 2^64": lambda dims: [2**32] * max(2, len(dims)),
    "product right mod 2^64": lambda dims: [dims[0] + 2**61, *dims[1:]],
    "unsigned": lambda dims: [2**64 - 1] * len(dims),
}


@pytest.mark.parametrize("how", SHAPES)
@each_array
def test_a_wrong_shape_is_refused_by_the_fields_name(name, how):
    assert_refused(RICH, name, lambda fields: fields[name].__setitem__(1, SHAPES[how](fields[name][1])))


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", lambda data: data[:-1], lambda data: data + b"\0", "text", None, 7, [0] * 8],
    ids=["none", "one", "one less", "one more", "text", "nothing", "a number", "a list"],
)
@each_array
def test_a_wrong_number_of_bytes_is_refused_by_the_fields_name(name, data):
    assert_refused(
        RICH, name, lambda fields: fields[name].__setitem__(2, data(fields[name][2]) if callable(data) else data)
    )


@pytest.mark.parametrize("value", [5, "text", b"bytes", {}, [], ["<f4", [1]], ["<f4", [1], b"\0" * 4, 0], True])
@each_array
def test_a_value_that_is_not_an_array_is_refused_by_the_fields_name(name, value):
    assert_refused(RICH, name, lambda fields: fields.__setitem__(name, value))


def written(name, dtype, index, value):
    """A change that puts one value into an array's bytes."""

    def change(fields):
        array = np.frombuffer(fields[name][2], dtype).copy()
        array[index] = value
        fields[name][2] = array.tobytes()

    return change


@pytest.mark.parametrize("index", [0, -1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", FLOATS)
def test_a_number_that_is_not_finite_is_refused_by_the_fields_name(name, value, index):
    dtype = "<f2" if name == "observations" else "<f4"
    assert_refused(RICH, name, written(name, dtype, index, value), match="not finite")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_the_largest_float_is_accepted(dtype):
    array = np.full((3, 2), np.finfo(dtype).max, dtype)
    fields = {"a": [dtype, [3, 2], array.tobytes()]}
    assert codec.take_array(fields, "a", (dtype,), (None, 2)).tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [2, 128, 255])
@pytest.mark.parametrize("name", BOOLS)
def test_a_boolean_that_is_neither_0_nor_1_is_refused_by_the_fields_name(name, value):
    assert_refused(RICH, name, written(name, "|u1", -1, value), match="bytes other than 0 and 1")


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [
        ("actions", "<i4", -1),
        ("actions", "<i4", 5),
        ("actions", "<i4", 2**31 - 1),
        ("log_probs", "<f4", 0.5),
        ("version_offsets", "<i4", -1),
        ("version_offsets", "<i4", 3),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_fields_name(name, dtype, value):
    assert_refused(RICH, name, written(name, dtype, 0, value))


def test_the_last_action_is_accepted():
    header, payload = altered(PLAIN, written("actions", "<i4", 0, PLAIN.game.actions.n - 1))
    assert decode_trajectory(payload, header, ACTOR, PLAIN).actions[0, 0] == 3


def test_a_forbidden_action_is_refused_if_its_step_is_valid():
    trajectory = make_trajectory(RICH, endings=0.0)
    valid = np.ones_like(trajectory.valid)
    valid[2, 1] = False
    for step, refused in ((1, True), (2, False)):
        masks = trajectory.masks.copy()
        masks[step, 1, trajectory.actions[step, 1]] = False
        sent = replace(trajectory, valid=valid, masks=masks)
        payload = encode_trajectory(sent, ACTOR, RICH)
        if refused:
            with pytest.raises(WireError, match=r"^masks: "):
                decode_trajectory(payload, header_of(sent), ACTOR, RICH)
        else:
            decode_trajectory(payload, header_of(sent), ACTOR, RICH)


def receive_changed(spec, **changes):
    """A trajectory in which no game ends, with some fields replaced, as the learner gets it."""
    trajectory = make_trajectory(spec, endings=0.0)
    changed = replace(trajectory, **{name: change(getattr(trajectory, name)) for name, change in changes.items()})
    return decode_trajectory(encode_trajectory(changed, ACTOR, spec), header_of(changed), ACTOR, spec)


def with_value(index, value):
    def change(array):
        array = array.copy()
        array[index] = value
        return array

    return change


def games(count):
    """A change that lets so many games have ended."""
    return lambda _: Episodes((1.0,) * count, (1,) * count, (CREATED_MS,) * count)


@pytest.mark.parametrize("how", ["terminated", "truncated"])
def test_a_game_ends_in_a_valid_step_and_the_next_step_is_invalid(how):
    ending = {how: with_value((2, 1), value=True), "episodes": games(1)}

    def valid(at, after):
        return with_value((slice(2, 4), 1), (at, after))

    assert receive_changed(PLAIN, **ending, valid=valid(at=True, after=False)).games == 1
    for at, after in ((False, False), (True, True)):
        with pytest.raises(WireError, match=r"^valid: the last step of a game is not valid or"):
            receive_changed(PLAIN, **ending, valid=valid(at, after))


def test_an_ending_in_the_last_step_has_no_step_after_it():
    last = {"terminated": with_value((-1, 0), value=True), "valid": with_value((-1, 0), value=True)}
    assert receive_changed(PLAIN, **last, episodes=games(1)).games == 1


def test_a_game_terminated_and_truncated_in_one_step_counts_once():
    last = {name: with_value((-1, 0), value=True) for name in ("terminated", "truncated", "valid")}
    assert receive_changed(PLAIN, **last, episodes=games(1)).games == 1


@pytest.mark.parametrize("count", [0, 2])
def test_the_number_of_games_must_equal_the_number_of_endings(count):
    last = {"terminated": with_value((-1, 0), value=True), "valid": with_value((-1, 0), value=True)}
    with pytest.raises(WireError, match=f"^entry: games is {count}, expected 1 as ended in the steps"):
        receive_changed(PLAIN, **last, episodes=games(count))


@pytest.mark.parametrize(("spec", "choices"), [(RICH, [slice(0, 5)]), (SEVERAL, [slice(0, 3), slice(3, 5)])], ids=str)
def test_a_mask_that_allows_nothing_is_refused_in_invalid_steps_too(spec, choices):
    for choice in choices:
        with pytest.raises(WireError, match=r"^masks: a step allows no action"):
            receive_changed(spec, masks=with_value((1, 0, choice), value=False), valid=with_value((1, 0), value=False))


def test_each_of_several_choices_has_its_own_range_and_its_own_mask():
    assert receive_changed(SEVERAL, actions=with_value(..., (2, 1)), masks=with_value(..., value=True)).steps
    for action in ((3, 0), (0, 2), (-1, 0), (0, -1)):
        with pytest.raises(WireError, match=r"^actions: "):
            receive_changed(SEVERAL, actions=with_value(..., action), masks=with_value(..., value=True))
    for forbidden in (2, 4):  # in a row of both choices' masks: the third of three, the second of two
        masks = np.arange(5) != forbidden
        with pytest.raises(WireError, match=r"^masks: an action that was played"):
            receive_changed(SEVERAL, actions=with_value(..., (2, 1)), masks=with_value(..., masks))


@pytest.mark.parametrize(("spec", "least"), [(PLAIN, -50), (SEVERAL, -100), (NUMBERS, -100)], ids=["1", "2", "numbers"])
def test_a_log_probability_may_be_as_low_as_fifty_a_choice_and_no_lower(spec, least):
    assert receive_changed(spec, log_probs=with_value((0, 0), least)).log_probs.min() == least
    with pytest.raises(WireError, match=r"^log_probs: .*, expected at least"):
        receive_changed(spec, log_probs=with_value((0, 0), least - 0.01))


def test_a_density_may_be_above_1_and_a_probability_may_not():
    assert receive_changed(NUMBERS, log_probs=with_value((0, 0), 7.0)).log_probs.max() == 7
    for spec in (PLAIN, SEVERAL):
        assert receive_changed(spec, log_probs=with_value((0, 0), 1e-4)).steps  # as rounding has it
        with pytest.raises(WireError, match=r"^log_probs: .*, expected at most 0"):
            receive_changed(spec, log_probs=with_value((0, 0), 0.01))


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_reward_may_be_as_large_as_a_thousand_million_and_no_larger(sign):
    assert receive_changed(PLAIN, rewards=with_value((0, 0), sign * 1e9)).rewards[0, 0] == sign * 1e9
    with pytest.raises(WireError, match=r"^rewards: "):
        receive_changed(PLAIN, rewards=with_value((0, 0), sign * 1.001e9))


def test_masks_that_the_game_does_not_have_are_refused_and_those_it_has_are_demanded():
    assert_refused(RICH, "masks", lambda fields: fields.__setitem__("masks", None), match="expected an array")
    value = msgpack.unpackb(encoded(RICH)[1])["masks"]
    assert_refused(
        PLAIN, "payload", lambda fields: fields.__setitem__("masks", value), match=r"unknown fields \['masks'\]"
    )


@pytest.mark.parametrize(
    ("spec", "wins", "error"),
    [
        (RICH, None, "^entry: wins is missing, expected as the run's game has it"),
        (PLAIN, (True,), "^entry: wins is there, expected as the run's game has it"),
    ],
    ids=["missing", "there"],
)
def test_wins_that_the_game_does_not_have_are_refused_and_those_it_has_are_demanded(spec, wins, error):
    sent = make_trajectory(spec, endings=0.0)
    ended = np.zeros_like(sent.terminated)
    ended[-1, 0] = True
    sent = replace(
        sent, terminated=ended, valid=sent.valid | ended, episodes=Episodes((1.0,), (1,), (CREATED_MS,), wins)
    )
    payload = encode_trajectory(sent, ACTOR, spec)
    with pytest.raises(WireError, match=error):
        decode_trajectory(payload, header_of(sent), ACTOR, spec)


def test_the_versions_of_steps_are_demanded_where_versions_differ_and_only_there():
    for spread, versions, found in ((2, (3, 3), "there"), (0, (3, 5), "missing")):
        sent = make_trajectory(PLAIN, spread=spread)
        payload = encode_trajectory(sent, ACTOR, PLAIN)
        with pytest.raises(
            WireError, match=f"^version_offsets: {found}, expected them where the entry's versions differ"
        ):
            decode_trajectory(payload, replace(header_of(sent), versions=versions), ACTOR, PLAIN)


def test_a_version_beyond_the_highest_is_refused():
    sent = make_trajectory(PLAIN, spread=2)
    payload = encode_trajectory(sent, ACTOR, PLAIN)
    assert decode_trajectory(payload, replace(header_of(sent), versions=(3, 9)), ACTOR, PLAIN).steps
    with pytest.raises(WireError, match=r"^version_offsets: 0 to 2, expected 0 to 1"):
        decode_trajectory(payload, replace(header_of(sent), versions=(3, 4)), ACTOR, PLAIN)


@pytest.mark.parametrize("value", [0, 1, 3, "2", 1.0, True, None, [1]])
def test_another_format_is_refused(value):
    assert_refused(RICH, "format", lambda fields: fields.__setitem__("format", value))


@pytest.mark.parametrize("value", ["a2", "", b"a1", 1, None, "A1", "a1 "])
def test_another_actors_trajectory_is_refused(value):
    assert_refused(RICH, "actor", lambda fields: fields.__setitem__("actor", value))


@pytest.mark.parametrize("name", [*(name for name in ARRAYS if name != "version_offsets"), "format", "actor"])
def test_a_missing_field_is_refused_by_its_name(name):
    assert_refused(RICH, "payload", lambda fields: fields.pop(name), match=rf"missing fields \['{name}'\]")


def test_an_unknown_field_is_refused_by_its_name():
    assert_refused(RICH, "payload", lambda fields: fields.update(extra=1), match=r"unknown fields \['extra'\]")


def test_a_field_given_twice_is_refused():
    header, payload = encoded(PLAIN)
    fields = msgpack.unpackb(payload)
    doubled = bytes([payload[0] + 1]) + payload[1:] + msgpack.packb("rewards") + msgpack.packb(fields["rewards"])
    assert payload[0] >> 4 == 0x8
    with pytest.raises(WireError, match=r"^payload: a field given twice"):
        decode_trajectory(doubled, header, ACTOR, PLAIN)


@pytest.mark.parametrize(("steps", "columns"), [(17, 1), (1, MAX_COLUMNS + 1), (0, 1), (1, 0)])
def test_shapes_beyond_the_limits_of_a_trajectory_are_refused(steps, columns):
    def change(fields):
        fields["actions"] = ["<i4", [steps, columns], bytes(4 * steps * columns)]

    assert_refused(PLAIN, "actions", change)


def test_the_longest_and_the_widest_trajectory_are_accepted():
    for steps, columns in ((16, 1), (1, MAX_COLUMNS)):
        header, payload = encoded(PLAIN, steps=steps, columns=columns)
        assert decode_trajectory(payload, header, ACTOR, PLAIN).actions.shape == (steps, columns)


def test_a_trajectory_without_a_single_step_is_refused():
    header, payload = altered(PLAIN, lambda fields: fields["valid"].__setitem__(2, bytes(10)), endings=0.0)
    with pytest.raises(WireError, match=r"^valid: no step is"):
        decode_trajectory(payload, replace(header, steps=0), ACTOR, PLAIN)


@pytest.mark.parametrize("by", [-1, 1])
def test_a_header_that_says_another_number_of_steps_than_the_payload_is_refused(by):
    header, payload = encoded(RICH)
    with pytest.raises(
        WireError, match=f"^entry: steps is {header.steps + by}, expected {header.steps} as in the payload"
    ):
        decode_trajectory(payload, replace(header, steps=header.steps + by), ACTOR, RICH)


def test_a_payload_beyond_the_limit_is_refused_before_it_is_looked_at():
    data = codec.encode({"a": 1})
    assert codec.decode(data, max_bytes=len(data)) == {"a": 1}
    with pytest.raises(WireError, match=f"payload: {len(data)} bytes, expected at most {len(data) - 1}"):
        codec.decode(data, max_bytes=len(data) - 1)
    header, payload = encoded(PLAIN)
    with pytest.raises(WireError, match="expected at most"):
        decode_trajectory(payload + bytes(MAX_BYTES), header, ACTOR, PLAIN)
