"""The wire: what goes in comes out, and whatever else comes in is refused by name, without a crash or a bloat."""

import tracemalloc
from dataclasses import fields as dataclass_fields
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import WireError
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.trajectory import (
    MAX_BYTES,
    MAX_COLUMNS,
    Header,
    Trajectory,
    decode_trajectory,
    encode_trajectory,
    parse_entry,
)
from broodmind.learner.ingest.cached_layout_decoder import CachedLayoutDecoder

ACTOR = "a1"
SEED, MUTANTS = 20_260_727, 100_000
PLAIN = RunSpec(GameSpec("plain", (3,), Discrete(4)), rollout=RolloutSpec(fragment_length=16))
RICH = RunSpec(
    GameSpec("rich", (2, 3), Discrete(5), masked=True, wins=True), rollout=RolloutSpec(fragment_length=16, float16=True)
)

SEVERAL = RunSpec(
    GameSpec("several", (3,), MultiDiscrete((3, 2)), masked=True), rollout=RolloutSpec(fragment_length=16)
)
NUMBERS = RunSpec(GameSpec("numbers", (3,), Box((-1.0, 0.0), (1.0, 9.0))), rollout=RolloutSpec(fragment_length=16))


class Decoders(dict):
    """A decoder for each spec, made when it is first asked for."""

    def __missing__(self, spec):
        return self.setdefault(spec, CachedLayoutDecoder(spec))


DECODERS = Decoders()


def make_trajectory(spec, *, steps=5, columns=2, endings=0.2, seed=0):
    """Any trajectory that fits the spec; half-float observations are ones that half floats can hold.

    Of its steps a share of `endings` ends a game, the first one among them, and none where that is 0.
    """
    rng = np.random.default_rng(seed)
    shape, game = (steps, columns), spec.game
    observations = rng.normal(size=(steps + 1, columns, *game.observation_shape)).astype(np.float16).astype(np.float32)
    actions, masks = some_actions(game.actions, shape, rng)
    valid = rng.random(shape) < 0.8
    valid[0, 0] = True
    ended = rng.random(shape) < endings
    ended[0, 0] = endings > 0
    for t in range(steps):  # an ending is played, and the step after it only resets
        if t:
            valid[t] &= ~ended[t - 1]
        ended[t] &= valid[t]
    games, by_rules, by_limit = int(ended.sum()), rng.random(shape) < 0.5, rng.random(shape) < 0.2
    return Trajectory(
        observations=observations,
        actions=actions,
        log_probs=-rng.random(shape, np.float32),
        rewards=rng.normal(size=shape).astype(np.float32),
        terminated=ended & by_rules,
        truncated=ended & (by_limit | ~by_rules),
        valid=valid,
        returns=rng.normal(size=games).astype(np.float32),
        lengths=rng.integers(1, 1000, games, dtype=np.int32),
        masks=masks if game.masked else None,
        wins=rng.random(games) < 0.5 if game.wins else None,
    )


def some_actions(actions, shape, rng):
    """Actions [T, B, *action shape], and masks [T, B, A] that allow them."""
    if isinstance(actions, Box):
        return rng.normal(size=(*shape, *actions.shape)).astype(np.float32), None
    drawn = [rng.integers(0, size, shape, dtype=np.int32) for size in actions.sizes]
    masks = [rng.random((*shape, size)) < 0.5 for size in actions.sizes]
    for chosen, allowed in zip(drawn, masks, strict=True):
        np.put_along_axis(allowed, chosen[..., None], values=True, axis=2)
    return np.stack(drawn, axis=-1).reshape(*shape, *actions.shape), np.concatenate(masks, axis=2)


def header_of(trajectory, version=3, epoch=1, created_ms=1_700_000_000_000):
    return Header(version, epoch, trajectory.steps, trajectory.games, created_ms)


def as_redis_returns(header, payload):
    """XADD's arguments as XREADGROUP gives them back: all bytes."""
    return [part if isinstance(part, bytes) else str(part).encode() for part in header.fields(payload)]


def receive(raw, spec):
    """What the learner does with an entry."""
    header, payload = parse_entry(raw)
    return decode_trajectory(payload, header, ACTOR, spec)


def decode_both(payload, header, spec):
    """By the definition, and by a learner's decoder that has seen payloads of the spec: what both give, or raise."""
    outcomes = []
    for decode in (lambda body, header, actor: decode_trajectory(body, header, actor, spec), DECODERS[spec].decode):
        try:
            outcomes.append(decode(payload, header, ACTOR))
        except WireError as error:
            outcomes.append(error)
    by_definition, quickly = outcomes
    assert type(by_definition) is type(quickly), outcomes
    if isinstance(quickly, WireError):
        raise quickly
    assert_same(by_definition, quickly)
    return quickly


def assert_same(sent, found):
    for field in dataclass_fields(Trajectory):
        ours, theirs = getattr(sent, field.name), getattr(found, field.name)
        if ours is None:
            assert theirs is None
        else:
            assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape), field.name
            assert theirs.tobytes() == ours.tobytes(), field.name


def encoded(spec, **options):
    trajectory = make_trajectory(spec, **options)
    return header_of(trajectory), encode_trajectory(trajectory, ACTOR, spec)


# Round trips.


numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
plain = st.none() | st.booleans() | numbers | st.text(max_size=20) | st.binary(max_size=50)
names = st.text(max_size=10)
trees = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(names, inner, max_size=5), max_leaves=20
)
arrays = st.sampled_from(list(codec.DTYPES)).flatmap(
    lambda name: stn.arrays(
        codec.DTYPES[name],
        stn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        elements=stn.from_dtype(codec.DTYPES[name], allow_nan=False, allow_infinity=False),
    )
)


@given(st.dictionaries(names, trees, max_size=codec.MAX_FIELDS))
def test_what_was_encoded_is_decoded_unless_it_holds_more_lists_and_maps_than_any_message(fields):
    data = codec.encode(fields)
    if containers(fields) <= 4 * codec.MAX_FIELDS:
        assert codec.decode(data, max_bytes=len(data)) == fields
    else:
        with pytest.raises(WireError, match="more lists and maps"):
            codec.decode(data, max_bytes=len(data))


def containers(value):
    """The number of lists and maps in it, itself among them."""
    if isinstance(value, dict):
        return 1 + sum(map(containers, value.values()))
    return 1 + sum(map(containers, value)) if isinstance(value, list) else 0


def as_many(count):
    """A map of lists of lists, `count` containers in all."""
    whole, left = divmod(count - 1, 9)
    return {**{f"f{i}": [[]] * 8 for i in range(whole)}, **{f"g{i}": [] for i in range(left)}}


@pytest.mark.parametrize(
    ("options", "most"), [({}, 256), ({"max_list": 100}, 400), ({"max_map": 128}, 512), ({"max_map": 64}, 256)]
)
def test_as_many_lists_and_maps_are_taken_as_four_times_the_longest_may_hold(options, most):
    fields = as_many(most)
    assert containers(fields) == most
    assert codec.decode(codec.encode(fields), max_bytes=1 << 20, **options) == fields
    with pytest.raises(WireError, match=r"^payload: more lists and maps"):
        codec.decode(codec.encode(as_many(most + 1)), max_bytes=1 << 20, **options)


@pytest.mark.parametrize(
    ("option", "longest", "make"),
    [
        ({}, codec.MAX_DIMS, lambda n: {"a": [0] * n}),
        ({}, codec.MAX_FIELDS, lambda n: {str(i): 0 for i in range(n)}),
        ({"max_list": 20}, 20, lambda n: {"a": [0] * n}),
        ({"max_map": 5}, 5, lambda n: {str(i): 0 for i in range(n)}),
        ({"max_map": 100}, 100, lambda n: {str(i): 0 for i in range(n)}),
    ],
)
def test_a_list_or_map_may_be_as_long_as_the_limit_and_no_longer(option, longest, make):
    assert codec.decode(codec.encode(make(longest)), max_bytes=1 << 20, **option) == make(longest)
    with pytest.raises(WireError, match=r"^payload: .*exceeds"):
        codec.decode(codec.encode(make(longest + 1)), max_bytes=1 << 20, **option)


@settings(max_examples=300)
@given(arrays, st.sampled_from(["as it is", "transposed", "every other", "big-endian", "read-only"]))
def test_an_array_arrives_with_its_dtype_shape_and_bytes(array, memory):
    expected = array.copy()
    if memory == "transposed":
        array = np.array(array, order="F")
    elif memory == "every other" and array.ndim:
        array = np.repeat(array, 2, axis=0)[::2]
    elif memory == "big-endian":
        array = array.astype(array.dtype.newbyteorder(">"))
    elif memory == "read-only":
        array.flags.writeable = False
    data = codec.encode({"a": array, "b": 1})
    name = next(name for name, dtype in codec.DTYPES.items() if dtype == expected.dtype)
    found = codec.take_array(codec.decode(data, max_bytes=len(data)), "a", (name,), expected.shape)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()
    assert not found.flags.writeable


@given(st.dictionaries(names, plain | arrays, max_size=6))
def test_frames_and_the_arrays_between_them_are_what_is_encoded(fields):
    parts = [array.tobytes() for array in fields.values() if isinstance(array, np.ndarray)]
    first, *others = codec.frames(fields)
    assert codec.encode(fields) == first + b"".join(part + frame for part, frame in zip(parts, others, strict=True))


@pytest.mark.parametrize("what", ["O", "U4", "V8", "M8[s]", "c8", "i1", "u4", "S3"])
def test_an_array_that_would_be_refused_is_not_even_sent(what):
    with pytest.raises(TypeError, match="cannot encode an array of"):
        codec.encode({"a": np.zeros(2, what)})


def test_an_object_is_not_sent():
    with pytest.raises(TypeError, match="cannot encode object"):
        codec.encode({"a": object()})


def test_a_view_of_the_received_bytes_is_no_copy():
    fields = codec.decode(codec.encode({"a": np.arange(10_000, dtype=np.int32)}), max_bytes=1 << 20)
    peak, _ = measured(lambda: codec.take_array(fields, "a", ("<i4",), (None,)))
    assert peak < 4096


@given(
    st.sampled_from([(), (1,), (3,), (2, 2)]).map(lambda shape: (*shape, 2)),
    st.sampled_from([Discrete(3), MultiDiscrete((2, 4, 3)), Box((0.0, -1.0), (1.0, 1.0)), Box((0.0,), (1.0,))]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(1, 16),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_a_trajectory_arrives_as_it_was(shape, actions, masked, wins, float16, steps, columns, endings, seed):
    game = GameSpec("any", shape, actions, masked=masked and bool(actions.sizes), wins=wins)
    spec = RunSpec(game, rollout=RolloutSpec(fragment_length=16, float16=float16))
    sent = make_trajectory(spec, steps=steps, columns=columns, endings=endings, seed=seed)
    header = header_of(sent, version=seed)
    parsed, payload = parse_entry(as_redis_returns(header, encode_trajectory(sent, ACTOR, spec)))
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


# Refusals, by name.


def altered(spec, change, **options):
    """A valid payload with one thing changed in it, as msgpack sees it."""
    header, payload = encoded(spec, **options)
    DECODERS[spec].decode(payload, header, ACTOR)
    fields = msgpack.unpackb(payload)
    change(fields)
    return header, msgpack.packb(fields)


def assert_refused(spec, name, change, match=""):
    header, payload = altered(spec, change)
    with pytest.raises(WireError, match=rf"^{name}: .*{match}"):
        decode_trajectory(payload, header, ACTOR, spec)
    with pytest.raises(WireError, match=rf"^{name}: .*{match}"):
        DECODERS[spec].decode(payload, header, ACTOR)


ARRAYS = [field.name for field in dataclass_fields(Trajectory)]
FLOATS = ["observations", "log_probs", "rewards", "returns"]
BOOLS = ["terminated", "truncated", "valid", "masks", "wins"]
each_array = pytest.mark.parametrize("name", ARRAYS)


def test_the_fields_of_the_tests_are_all_fields_there_are():
    _, payload = encoded(RICH)
    assert set(msgpack.unpackb(payload)) == {*ARRAYS, "format", "actor"}
    assert set(FLOATS) | set(BOOLS) | {"actions", "lengths"} == set(ARRAYS)


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
def test_what_is_no_array_is_refused_by_the_fields_name(name, value):
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
def test_the_largest_number_there_is_is_finite_though_its_square_is_not(dtype):
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
        ("lengths", "<i4", 0),
        ("lengths", "<i4", -3),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_fields_name(name, dtype, value):
    assert_refused(RICH, name, written(name, dtype, 0, value))


def test_the_last_action_there_is_is_taken():
    header, payload = altered(PLAIN, written("actions", "<i4", 0, PLAIN.game.actions.n - 1))
    assert decode_trajectory(payload, header, ACTOR, PLAIN).actions[0, 0] == 3


def test_a_played_action_that_the_mask_forbids_is_refused_and_a_swallowed_one_is_not():
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


def one_game(array):
    return np.ones(1, array.dtype)


@pytest.mark.parametrize("how", ["terminated", "truncated"])
def test_an_ending_is_played_and_the_step_after_it_is_not(how):
    ending = {how: with_value((2, 1), value=True), "returns": one_game, "lengths": one_game}

    def valid(at, after):
        return with_value((slice(2, 4), 1), (at, after))

    assert receive_changed(PLAIN, **ending, valid=valid(at=True, after=False)).games == 1
    for at, after in ((False, False), (True, True)):
        with pytest.raises(WireError, match=r"^valid: the last step of a game is not valid or"):
            receive_changed(PLAIN, **ending, valid=valid(at, after))


def test_an_ending_in_the_last_step_has_no_step_after_it():
    last = {"terminated": with_value((-1, 0), value=True), "valid": with_value((-1, 0), value=True)}
    assert receive_changed(PLAIN, **last, returns=one_game, lengths=one_game).games == 1


def test_a_game_over_by_its_rules_and_its_limit_at_once_is_one_game():
    last = {name: with_value((-1, 0), value=True) for name in ("terminated", "truncated", "valid")}
    assert receive_changed(PLAIN, **last, returns=one_game, lengths=one_game).games == 1


@pytest.mark.parametrize("games", [0, 2])
def test_as_many_games_as_endings_and_no_others_are_taken(games):
    last = {"terminated": with_value((-1, 0), value=True), "valid": with_value((-1, 0), value=True)}
    metrics = {name: lambda array: np.ones(games, array.dtype) for name in ("returns", "lengths")}
    with pytest.raises(WireError, match=f"^returns: of {games} games, expected 1"):
        receive_changed(PLAIN, **last, **metrics)


@pytest.mark.parametrize(("spec", "choices"), [(RICH, [slice(0, 5)]), (SEVERAL, [slice(0, 3), slice(3, 5)])], ids=str)
def test_a_choice_of_which_a_mask_allows_nothing_is_refused_even_where_it_was_not_played(spec, choices):
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


@pytest.mark.parametrize("name", ["masks", "wins"])
def test_what_the_game_does_not_have_is_refused_and_what_it_has_is_demanded(name):
    assert_refused(RICH, name, lambda fields: fields.__setitem__(name, None), match="expected an array")
    value = msgpack.unpackb(encoded(RICH)[1])[name]
    assert_refused(PLAIN, name, lambda fields: fields.__setitem__(name, value), match="expected none")


@pytest.mark.parametrize("value", [0, 2, "1", 1.0, True, None, [1]])
def test_another_format_is_refused(value):
    assert_refused(RICH, "format", lambda fields: fields.__setitem__("format", value))


@pytest.mark.parametrize("value", ["a2", "", b"a1", 1, None, "A1", "a1 "])
def test_another_actors_trajectory_is_refused(value):
    assert_refused(RICH, "actor", lambda fields: fields.__setitem__("actor", value))


@pytest.mark.parametrize("name", [*ARRAYS, "format", "actor"])
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
def test_more_or_less_than_a_trajectory_may_hold_is_refused(steps, columns):
    def change(fields):
        fields["actions"] = ["<i4", [steps, columns], bytes(4 * steps * columns)]

    assert_refused(PLAIN, "actions", change)


def test_the_longest_and_the_widest_trajectory_are_taken():
    for steps, columns in ((16, 1), (1, MAX_COLUMNS)):
        header, payload = encoded(PLAIN, steps=steps, columns=columns)
        assert decode_trajectory(payload, header, ACTOR, PLAIN).actions.shape == (steps, columns)


def test_a_trajectory_without_a_single_step_is_refused():
    header, payload = altered(PLAIN, lambda fields: fields["valid"].__setitem__(2, bytes(10)), endings=0.0)
    with pytest.raises(WireError, match=r"^valid: no step is"):
        decode_trajectory(payload, replace(header, steps=0), ACTOR, PLAIN)


@pytest.mark.parametrize("field", ["steps", "games"])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_header_that_says_something_else_than_the_payload_is_refused(field, by):
    header, payload = encoded(RICH)
    with pytest.raises(WireError, match=r"^entry: n and g"):
        decode_trajectory(payload, replace(header, **{field: getattr(header, field) + by}), ACTOR, RICH)


def test_a_payload_beyond_the_limit_is_refused_before_it_is_looked_at():
    data = codec.encode({"a": 1})
    assert codec.decode(data, max_bytes=len(data)) == {"a": 1}
    with pytest.raises(WireError, match=f"payload: {len(data)} bytes, expected at most {len(data) - 1}"):
        codec.decode(data, max_bytes=len(data) - 1)
    header, payload = encoded(PLAIN)
    with pytest.raises(WireError, match="expected at most"):
        decode_trajectory(payload + bytes(MAX_BYTES), header, ACTOR, PLAIN)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        [b"v", b"1"],
        [b"p", b"", b"v", b"1", b"e", b"1", b"n", b"1", b"g", b"1", b"t", b"1"],
        [b"v", b"1", b"e", b"1", b"n", b"1", b"g", b"1", b"t", b"1", b"p", b"", b"x", b"1"],
        [b"V", b"1", b"e", b"1", b"n", b"1", b"g", b"1", b"t", b"1", b"p", b""],
    ],
)
def test_an_entry_of_other_fields_is_refused(raw):
    with pytest.raises(WireError, match=r"^entry: fields"):
        parse_entry(raw)


@pytest.mark.parametrize("name", ["v", "e", "n", "g", "t"])
@pytest.mark.parametrize("value", [b"-1", b"9007199254740992", b"x", b"", b"1.5", b"0x10", b"\xff", b"9" * 5000])
def test_a_header_field_that_is_no_count_is_refused(name, value):
    raw = as_redis_returns(Header(1, 1, 1, 1, 1), b"")
    raw[raw.index(name.encode()) + 1] = value
    with pytest.raises(WireError, match=r"^entry: "):
        parse_entry(raw)


@pytest.mark.parametrize("commit", [b"xyz", b"ABC", b"0" * 65, b"\xff", b"a\n", b"-1"])
def test_a_commit_that_is_none_is_refused(commit):
    raw = as_redis_returns(Header(1, 1, 1, 1, 1, "c0ffee"), b"")
    assert parse_entry(raw)[0].commit == "c0ffee"
    raw[raw.index(b"c0ffee")] = commit
    with pytest.raises(WireError, match=r"^entry: c is"):
        parse_entry(raw)


def test_the_largest_count_is_taken():
    raw = as_redis_returns(Header(2**53 - 1, 0, 0, 0, 0), b"")
    assert parse_entry(raw)[0].version == 2**53 - 1


# Hostile bytes.


def measured(call):
    """The most memory that a call held at once beyond what was there, and what it raised."""
    raised = None
    tracemalloc.start()
    try:
        call()
    except WireError as error:
        raised = error
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak, raised


def assert_bounded(raw, spec, constant=192 << 10):
    """Four times the input and a constant; no error but WireError.

    The constant is msgpack's: it goes 1024 levels deep, and makes each list that is open there in its full length.
    """
    size = sum(map(len, raw))
    peak, raised = measured(lambda: receive(raw, spec))
    assert peak < 4 * size + constant, f"{peak} bytes for an input of {size}, which gave {raised}"
    return raised


def nested(leaf, depth):
    """Lists of lists, each as long as a list may be."""
    for _ in range(depth):
        leaf = bytes([0x90 + codec.MAX_DIMS]) + leaf * codec.MAX_DIMS
    return leaf


def one_field(value):
    return b"\x81\xa1a" + value


def with_part(index, value):
    """A valid payload but for one part of its `actions`: 0 dtype, 1 shape, 2 bytes."""
    return altered(PLAIN, lambda fields: fields["actions"].__setitem__(index, value))[1]


def spliced(index, raw):
    """The same for a part that msgpack itself would not write."""
    return with_part(index, "HERE").replace(msgpack.packb("HERE"), raw)


NASTY = {
    "nothing": b"",
    "no map": b"\xc0",
    "never used": b"\xc1",
    "5 MB of empty maps": one_field(b"\xdd" + (5_000_000).to_bytes(4, "big") + b"\x80" * 5_000_000),
    "5 MB of empty lists": one_field(b"\xdd" + (5_000_000).to_bytes(4, "big") + b"\x90" * 5_000_000),
    "5 MB of maps in maps": b"\x81\xa1a" * 1_666_666,
    "5 MB of lists in lists": one_field(b"\x91" * 5_000_000),
    "65 fields": b"\xde\x00\x41" + b"".join(msgpack.packb(f"f{i}") + b"\xc0" for i in range(65)),
    "9 in a list": one_field(b"\x99" + b"\xc0" * 9),
    "declared map of 2^32 - 1": b"\xdf\xff\xff\xff\xff" + b"\xa1a\xc0" * 10,
    "declared list of 2^32 - 1": one_field(b"\xdd\xff\xff\xff\xff"),
    "declared text of 2^32 - 1": one_field(b"\xdb\xff\xff\xff\xff"),
    "declared bytes of 2^32 - 1": one_field(b"\xc6\xff\xff\xff\xff"),
    "declared extension of 2^32 - 1": one_field(b"\xc9\xff\xff\xff\xff\x01"),
    "5 MB of text": one_field(b"\xdb" + (5_000_000).to_bytes(4, "big") + b"a" * 5_000_000),
    "5 MB of bytes": one_field(b"\xc6" + (5_000_000).to_bytes(4, "big") + bytes(5_000_000)),
    "5 MB after the end": msgpack.packb({"a": 1}) + bytes(5_000_000),
    "text that is not UTF-8": one_field(b"\xa2\xff\xfe"),
    "a name that is not UTF-8": b"\x81\xa1\xff\xc0",
    "a name of bytes": b"\x81\xc4\x01a\xc0",
    "a number for a name": b"\x81\x01\xc0",
    "a list for a name": b"\x81\x91\xc0\xc0",
    "a map for a name": b"\x81\x80\xc0",
    "nothing for a name": b"\x81\xc0\xc0",
    "a name twice": b"\x82\xa1a\xc0\xa1a\xc0",
    "a name twice within": one_field(b"\x82\xa1a\xc0\xa1a\xc0"),
    "timestamp 32": one_field(b"\xd6\xff" + bytes(4)),
    "timestamp 64": one_field(b"\xd7\xff" + bytes(8)),
    "timestamp 96": one_field(b"\xc7\x0c\xff" + bytes(12)),
    "a timestamp of no bytes": one_field(b"\xc7\x00\xff"),
    "extension": one_field(b"\xd4\x05\x00"),
    "an extension of no bytes": one_field(b"\xc7\x00\x05"),
    "an extension for a name": b"\x81\xd4\x05\x00\xc0",
    "a megabyte's name": with_part(0, "<i4" * 1000),
    "a nested dtype": with_part(0, [["<i4"]]),
    "a nested shape": with_part(1, [[5], [2]]),
    "a shape of bytes": with_part(1, [b"\0" * 1000, b"\0" * 1000]),
    "a shape that overflows": with_part(1, [2**32, 2**32]),
    "a shape that overflows to the right size": with_part(1, [2**62 + 5, 2]),
    "100,000 unknown names": b"\xdf\x00\x01\x86\xa0" + b"".join(b"\xa5%05d\xc0" % i for i in range(100_000)),
    "8^6 empty lists": one_field(nested(b"\x90", 6)),
    "8^6 empty maps": one_field(nested(b"\x80", 6)),
    "8^6 nothings": one_field(nested(b"\xc0", 6)),
    "deep lists of 8": one_field(b"\x98" * 1100),
    "a megabyte for a dtype": with_part(0, bytes(1_000_000)),
    "a megabyte for a dimension": with_part(1, [bytes(1_000_000), 2]),
    "a megabyte for the format": altered(PLAIN, lambda fields: fields.__setitem__("format", bytes(1_000_000)))[1],
}

# What no later check would have to catch: these are refused while they are unpacked.
UNPACKED = [
    name
    for name in NASTY
    if any(word in name for word in ("extension", "timestamp", "twice", "name of", "65", "9 in", "8^6", "deep"))
]
UNPACKED += ["a number for a name", "nothing for a name", "5 MB of text", "5 MB after the end", "no map", "nothing"]


@pytest.mark.parametrize("name", UNPACKED)
def test_what_encode_would_not_have_written_is_not_even_unpacked(name):
    with pytest.raises(WireError, match=r"^payload: "):
        codec.decode(NASTY[name], max_bytes=MAX_BYTES)


@pytest.mark.parametrize("name", NASTY)
def test_hostile_bytes_are_refused_within_bounded_memory(name):
    raised = assert_bounded(as_redis_returns(encoded(PLAIN)[0], NASTY[name]), PLAIN)
    assert raised is not None


@pytest.mark.parametrize("opening", [b"\xde\x00\x10\xa1a", b"\x8f\xa1a", b"\x98", b"\xde\x00\x40\xa1a"])
@pytest.mark.parametrize("levels", [1024, 1100, 100_000])
def test_the_deepest_nesting_of_the_longest_maps_and_lists_costs_a_constant_and_no_more(opening, levels):
    assert assert_bounded(as_redis_returns(encoded(PLAIN)[0], one_field(opening * levels)), PLAIN) is not None


def test_a_list_is_not_made_longer_than_its_bytes_could_fill():
    data = one_field(b"\xdd\x00\x00\xff\xff" * 1000)
    peak, raised = measured(lambda: codec.decode(data, max_bytes=len(data), max_list=1 << 16))
    assert raised is not None
    assert peak < 1 << 16


@pytest.mark.parametrize("dims", [[2**64 - 1, 0], [2**62, 0], [0, 2**63]])
def test_a_huge_dimension_beside_an_empty_one_is_refused(dims):
    assert_refused(PLAIN, "actions", lambda fields: fields.__setitem__("actions", ["<i4", dims, b""]))


@pytest.mark.parametrize(("depth", "named"), [(40, "actions"), (1010, "payload"), (1100, "payload")])
@pytest.mark.parametrize("part", [0, 1])
def test_a_part_nested_as_deep_as_the_limits_or_as_msgpack_goes_is_refused(part, depth, named):
    payload = spliced(part, b"\x91" * depth + b"\xc0")
    with pytest.raises(WireError, match=f"^{named}: "):
        decode_trajectory(payload, encoded(PLAIN)[0], ACTOR, PLAIN)


@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["float32", "float16"])
def test_a_large_valid_trajectory_is_decoded_within_four_times_its_size(spec):
    header, payload = encoded(spec, steps=16, columns=MAX_COLUMNS)
    assert len(payload) > 1 << 20
    assert assert_bounded(as_redis_returns(header, payload), spec) is None


def test_a_trajectory_of_one_cheap_step_a_row_is_decoded_within_four_times_its_size():
    spec = RunSpec(GameSpec("least", (1,), Discrete(2)), rollout=RolloutSpec(fragment_length=4096, float16=True))
    header, payload = encoded(spec, steps=4096, columns=64, endings=0.0)
    assert assert_bounded(as_redis_returns(header, payload), spec) is None


# Each byte of these begins something else in msgpack: maps, lists, text, numbers, extensions, declared lengths.
SPICES = bytes([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, *range(0xC0, 0xE0), 0xFF])
REPLACEMENTS = (None, True, -1, 0, 2**63, 2**64 - 1, 1.5, float("nan"), "", "<f4", "|O", b"", b"\0" * 40, [], {}, [[]])


def mutant(rng, payload, payloads):
    """A payload with something done to it, or bytes out of nowhere."""
    data = bytearray(payload)
    kind = rng.integers(7)
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 200)))
    if kind == 1:
        for _ in range(int(rng.integers(1, 6))):
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        for _ in range(int(rng.integers(1, 4))):
            data[rng.integers(len(data))] = SPICES[rng.integers(len(SPICES))]
    elif kind == 3:
        del data[int(rng.integers(len(data))) :]
    elif kind == 4:
        start = int(rng.integers(len(data)))
        data[start : start + int(rng.integers(0, 20))] = rng.bytes(int(rng.integers(0, 20)))
    elif kind == 5:
        other = payloads[rng.integers(len(payloads))]
        data[int(rng.integers(len(data))) :] = other[int(rng.integers(len(other))) :]
    else:  # well-formed msgpack with one part replaced
        fields = msgpack.unpackb(bytes(data))
        name, value = list(fields)[rng.integers(len(fields))], REPLACEMENTS[rng.integers(len(REPLACEMENTS))]
        if isinstance(fields[name], list) and rng.integers(4):
            part = int(rng.integers(3))
            if part == 1 and rng.integers(2):
                fields[name][1][int(rng.integers(len(fields[name][1])))] = value
            else:
                fields[name][part] = value
        else:
            fields[name] = value
        return msgpack.packb(fields)
    return bytes(data)


def mutated_entry(rng, raw):
    """Now and then something is done to the entry around the payload too."""
    raw = list(raw)
    kind = rng.integers(12)
    if kind == 0:
        raw[rng.integers(len(raw) - 1)] = rng.bytes(int(rng.integers(0, 12)))
    elif kind == 1:
        raw[int(rng.integers(5)) * 2 + 1] = str(rng.integers(-(2**63), 2**63 - 1)).encode()
    elif kind == 2:
        del raw[: 2 * int(rng.integers(1, 7))]
    return raw


def outcome(raw, spec, *, weigh):
    """The trajectory, or the WireError; anything else would have ended the learner."""
    if weigh:
        assert_bounded(raw, spec)
    try:
        header, payload = parse_entry(raw)
        return decode_both(payload, header, spec)
    except WireError as error:
        return error


@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["plain", "rich"])
def test_mutated_bytes_are_decoded_or_refused_and_nothing_else(spec):
    rng = np.random.default_rng([SEED, spec.game.actions.n])
    originals = [encoded(spec, steps=steps, seed=steps) for steps in (1, 2, 3, 5)]
    payloads = [payload for _, payload in originals] + [encoded(other)[1] for other in (PLAIN, RICH)]
    for header, payload in originals:
        DECODERS[spec].decode(payload, header, ACTOR)
    taken = refused = 0
    for number in range(MUTANTS // 2):
        header, payload = originals[rng.integers(len(originals))]
        raw = mutated_entry(rng, as_redis_returns(header, mutant(rng, payload, payloads)))
        said = f"seed {SEED}, {spec.game.name}, number {number}: {raw}"
        try:
            result = outcome(raw, spec, weigh=number % 100 == 0)
        except Exception as error:  # noqa: BLE001 - whatever it is
            pytest.fail(f"{said} gave {error!r}")
        if isinstance(result, WireError):
            refused += 1
            assert str(result).partition(":")[0] in {*ARRAYS, "format", "actor", "entry", "payload"}, said
        else:
            taken += 1
            # What is taken can be trained on.
            assert result.steps >= 1, said
            assert ((result.actions >= 0) & (result.actions < spec.game.actions.n)).all(), said
            assert np.isfinite(result.observations).all(), said
            assert result.observations.shape[2:] == spec.game.observation_shape, said
    # Both happen often, or the mutants are too wild or too tame to say anything.
    assert min(taken, refused) > MUTANTS // 100
