"""The codec: what is encoded is decoded, and what exceeds a limit is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from support.payloads import measured

from broodmind.common.errors import WireError
from broodmind.common.wire import codec

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
def test_encoded_values_are_decoded_unless_they_exceed_the_number_of_containers(fields):
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
def test_the_number_of_containers_is_limited_to_four_times_the_longest_container(options, most):
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
def test_an_array_of_an_unsupported_dtype_is_not_encoded(what):
    with pytest.raises(TypeError, match="cannot encode an array of"):
        codec.encode({"a": np.zeros(2, what)})


def test_an_object_is_not_encoded():
    with pytest.raises(TypeError, match="cannot encode object"):
        codec.encode({"a": object()})


def test_a_view_of_the_received_bytes_is_no_copy():
    fields = codec.decode(codec.encode({"a": np.arange(10_000, dtype=np.int32)}), max_bytes=1 << 20)
    peak, _ = measured(lambda: codec.take_array(fields, "a", ("<i4",), (None,)))
    assert peak < 4096
