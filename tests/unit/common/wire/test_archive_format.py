"""Records of a segment that are whole, by their checksum, and yet not what a learner writes."""

from __future__ import annotations

import json

import pytest
from support.runs import SPEC, make_header

from broodmind.common.errors import WireError
from broodmind.common.wire import codec
from broodmind.common.wire.archive_format import (
    MAGIC,
    SUFFIX,
    ArchivedEntry,
    encode_entry,
    encode_head,
    frame,
    read_segment,
)

ENTRY = ArchivedEntry("a", (7, 1), make_header(3, 1, 8, 1, 1000), b"payload", "", "", "c0ffee", 4)


def segment(folder, head, *records):
    path = folder / f"x{SUFFIX}"
    path.write_bytes(MAGIC + b"".join(map(frame, (head, *records))))
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, None),
        ({"payload": "text"}, "payload: str, expected bytes"),
        ({"id": [7]}, r"id: \[7\], expected 2 numbers of at least 0"),
        ({"id": [7, -1]}, r"id: \[7, -1\], expected 2 numbers of at least 0"),
        ({"id": [7, True]}, r"id: \[7, True\], expected 2 numbers of at least 0"),
        ({"header": 5}, "header: int, expected a list of an entry's fields"),
        ({"header": [3, 1, 8, 1, "x"]}, "header: list, expected a list of an entry's fields"),
        ({"header": [b"format", b"2"]}, "entry: fields"),
    ],
)
def test_an_entry_of_another_form_is_refused_by_what_is_wrong(tmp_path, changed, message):
    fields = codec.decode(encode_entry(ENTRY), max_bytes=10_000, max_list=64)
    _, entries = read_segment(segment(tmp_path, encode_head("run", SPEC), codec.encode(fields | changed)))
    if message is None:
        assert list(entries) == [ENTRY]
    else:
        with pytest.raises(WireError, match=message):
            list(entries)


def test_a_segment_of_a_spec_that_is_none_is_refused(tmp_path):
    spec = json.loads(SPEC.to_json())
    spec["rollout"]["fragment_length"] = 0
    fields = codec.decode(encode_head("run", SPEC), max_bytes=10_000)
    head = codec.encode(fields | {"spec": json.dumps(spec).encode()})
    with pytest.raises(WireError, match="fragment_length: 0, expected"):
        read_segment(segment(tmp_path, head))
