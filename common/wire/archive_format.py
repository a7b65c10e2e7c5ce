"""Archive segments: files with the entries that a learner consumed, for training on them again.

A segment starts with 8 bytes of magic, followed by records. A record is its length and its CRC-32 (32 bits each,
little-endian), and then that many bytes of msgpack. The first record describes the run. Each other record is an entry:
its header, its payload as received from Redis, and whether it was trained on or rejected. The name of a finished
segment ends in `.archive`. Until it is finished, and after a crash, the name ends in `.archive.part`, and the file may
end in the middle of a record.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ..deprecated import stored_fields, stored_name
from ..errors import ConfigError, WireError
from ..spec import READABLE, RunSpec
from . import codec, format_1
from .entry_header import Header, parse_entry
from .trajectory import MAX_BYTES, decode_trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .trajectory import Trajectory

SUFFIX, PART = ".archive", ".archive.part"
MAGIC = b"BMARCHV1"
FORMAT = 2
_FORMATS = (1, FORMAT)  # that are read
_FRAME = struct.Struct("<II")
_RECORD_BYTES_MAX = MAX_BYTES + (1 << 16)
_HEAD_FIELDS = {"format", "run", "spec"}
_ENTRY_FIELDS = {"actor", "id", "header", "payload", "rejected", "problem", "commit", "version"}
_HEADER_FIELDS_MAX = 64  # of an entry, names and values in turn
_NUMBER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ArchivedEntry:
    """One entry, and the commit that consumed it."""

    actor: str
    id: tuple[int, int]
    header: Header | None  # None if it did not have the fields of an entry
    payload: bytes
    rejected: str  # the reason; empty if it was trained on
    problem: str  # why it was invalid; empty for other reasons
    commit: str
    version: int  # the run's version after that commit
    format: int = FORMAT  # of its payload

    def trajectory(self, spec: RunSpec) -> Trajectory:
        """Decode the trajectory and check it against the spec of its run. Raises WireError naming the field."""
        if self.header is None:
            raise WireError("entry: none, expected one with a header")
        if self.format == 1:
            return format_1.decode_trajectory(self.payload, self.header, self.actor, spec)
        return decode_trajectory(self.payload, self.header, self.actor, spec)


def frame(record: bytes) -> bytes:
    """A record with its length and checksum, as it is written to the file."""
    return _FRAME.pack(len(record), zlib.crc32(record)) + record


def encode_head(run: str, spec: RunSpec) -> bytes:
    """The first record of a segment."""
    return codec.encode({"format": FORMAT, "run": run, "spec": spec.to_json().encode()})


def encode_entry(entry: ArchivedEntry) -> bytes:
    """The record of an entry."""
    return codec.encode(
        {
            "actor": entry.actor,
            "id": list(entry.id),
            # As in the stream, without the payload.
            "header": None if entry.header is None else entry.header.to_bytes(b"")[:-2],
            "payload": entry.payload,
            "rejected": entry.rejected,
            "problem": entry.problem[: codec.MAX_TEXT // 4],
            "commit": entry.commit,
            "version": entry.version,
        }
    )


def read_segment(path: Path) -> tuple[RunSpec, Iterator[ArchivedEntry]]:
    """The spec of a segment's run, and an iterator that reads its entries one by one.

    Raises:
        WireError: if the file is not a segment; the iterator raises it at a record that is incomplete or invalid.
    """
    records = _records(path)
    head = codec.decode(next(records, b""), max_bytes=_RECORD_BYTES_MAX)
    codec.check_fields(head, _HEAD_FIELDS)
    form = codec.take_int(head, "format", min(_FORMATS), max(_FORMATS))
    try:
        spec = RunSpec.from_json(head["spec"], formats=READABLE)
    except ConfigError as error:
        raise WireError(str(error)) from error
    return spec, (_decode_entry(record, form) for record in records)


def whole_bytes(path: Path) -> int:
    """The number of bytes of a segment that are complete records. After a crash, the rest can be removed."""
    whole = 0
    try:
        for record in _records(path):
            whole = (whole or len(MAGIC)) + _FRAME.size + len(record)
    except WireError:
        pass
    return whole


def _records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(MAGIC)) != MAGIC:
            raise WireError(f"file: does not begin with {MAGIC.decode()}, expected an archive segment")
        while file.tell() < size:
            yield _record(file, size)


def _record(file: BinaryIO, size: int) -> bytes:
    at = file.tell()
    frame_bytes = file.read(_FRAME.size)
    if len(frame_bytes) < _FRAME.size:
        raise WireError(f"record at byte {at}: incomplete, expected a whole record")
    length, checksum = _FRAME.unpack(frame_bytes)
    if length > min(_RECORD_BYTES_MAX, size - file.tell()):
        raise WireError(f"record at byte {at}: {length} bytes, expected at most {size - file.tell()}: incomplete")
    record = file.read(length)
    if zlib.crc32(record) != checksum:
        raise WireError(f"record at byte {at}: wrong checksum, expected {checksum:#010x}")
    return record


def _decode_entry(record: bytes, form: int) -> ArchivedEntry:
    fields = stored_fields(codec.decode(record, max_bytes=_RECORD_BYTES_MAX, max_list=_HEADER_FIELDS_MAX))
    codec.check_fields(fields, _ENTRY_FIELDS | ({"imported"} if form == 1 else set()))
    payload = codec.take_bytes(fields, "payload")
    left, right = _numbers(fields["id"], "id", 2)
    return ArchivedEntry(
        actor=codec.take_text(fields, "actor"),
        id=(left, right),
        header=format_1.archived_header(fields) if form == 1 else _decode_header(fields["header"], payload),
        payload=payload,
        rejected=stored_name(codec.take_text(fields, "rejected")),
        problem=codec.take_text(fields, "problem"),
        commit=codec.take_text(fields, "commit"),
        version=codec.take_int(fields, "version", 0, _NUMBER_MAX),
        format=form,
    )


def _decode_header(raw: object, payload: bytes) -> Header | None:
    if raw is None:
        return None
    if not (isinstance(raw, list) and all(isinstance(part, bytes) for part in raw)):
        raise WireError(f"header: {type(raw).__name__}, expected a list of an entry's fields")
    # Its `bytes` is the payload's, which may not have been kept.
    return parse_entry([*raw[:11], b"%d" % len(payload), *raw[12:], b"payload", payload])[0]


def _numbers(raw: object, name: str, count: int) -> list[int]:
    if not isinstance(raw, list) or len(raw) != count or not all(type(n) is int and n >= 0 for n in raw):
        raise WireError(f"{name}: {raw!r:.80}, expected {count} numbers of at least 0")
    return raw
