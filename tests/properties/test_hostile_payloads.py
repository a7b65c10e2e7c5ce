"""Hostile payloads are refused within bounded memory, by the codec or by the decoder of trajectories."""

import msgpack
import pytest
from support.payloads import (
    ACTOR,
    PLAIN,
    RICH,
    altered,
    assert_bounded,
    assert_refused,
    encoded,
    measured,
)

from broodmind.common.actions import Discrete
from broodmind.common.errors import WireError
from broodmind.common.spec import GameSpec, RolloutSpec, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.trajectory import (
    MAX_BYTES,
    MAX_COLUMNS,
    decode_trajectory,
)


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
def test_bytes_that_encode_cannot_have_written_are_refused_while_unpacking(name):
    with pytest.raises(WireError, match=r"^payload: "):
        codec.decode(NASTY[name], max_bytes=MAX_BYTES)


@pytest.mark.parametrize("name", NASTY)
def test_hostile_bytes_are_refused_within_bounded_memory(name):
    raised = assert_bounded(encoded(PLAIN)[0].to_bytes(NASTY[name]), PLAIN)
    assert raised is not None


@pytest.mark.parametrize("opening", [b"\xde\x00\x10\xa1a", b"\x8f\xa1a", b"\x98", b"\xde\x00\x40\xa1a"])
@pytest.mark.parametrize("levels", [1024, 1100, 100_000])
def test_the_deepest_nesting_of_the_longest_containers_takes_constant_memory(opening, levels):
    assert assert_bounded(encoded(PLAIN)[0].to_bytes(one_field(opening * levels)), PLAIN) is not None


def test_a_list_is_not_allocated_longer_than_its_bytes_can_fill():
    data = one_field(b"\xdd\x00\x00\xff\xff" * 1000)
    peak, raised = measured(lambda: codec.decode(data, max_bytes=len(data), max_list=1 << 16))
    assert raised is not None
    assert peak < 1 << 16


@pytest.mark.parametrize("dims", [[2**64 - 1, 0], [2**62, 0], [0, 2**63]])
def test_a_huge_dimension_beside_an_empty_one_is_refused(dims):
    assert_refused(PLAIN, "actions", lambda fields: fields.__setitem__("actions", ["<i4", dims, b""]))


@pytest.mark.parametrize(("depth", "named"), [(40, "actions"), (1010, "payload"), (1100, "payload")])
@pytest.mark.parametrize("part", [0, 1])
def test_parts_nested_to_the_limit_of_msgpack_are_refused(part, depth, named):
    payload = spliced(part, b"\x91" * depth + b"\xc0")
    with pytest.raises(WireError, match=f"^{named}: "):
        decode_trajectory(payload, encoded(PLAIN)[0], ACTOR, PLAIN)


@pytest.mark.parametrize("spec", [PLAIN, RICH], ids=["float32", "float16"])
def test_a_large_valid_trajectory_is_decoded_within_four_times_its_size(spec):
    header, payload = encoded(spec, steps=16, columns=MAX_COLUMNS)
    assert len(payload) > 1 << 20
    assert assert_bounded(header.to_bytes(payload), spec) is None


def test_a_trajectory_of_the_smallest_steps_is_decoded_within_four_times_its_size():
    spec = RunSpec(GameSpec("least", (1,), Discrete(2)), rollout=RolloutSpec(fragment_length=4096, float16=True))
    header, payload = encoded(spec, steps=4096, columns=64, endings=0.0)
    assert assert_bounded(header.to_bytes(payload), spec) is None
