"""Archive segments: files of what a learner consumed, entry by entry, to train on again.

A segment is 8 bytes of magic and then records, each a length and a CRC-32 (32 bits little-endian) before so many bytes
of msgpack. The first record says what run it is of; each other one is an entry: its header, its payload as it came
through Redis, and what became of it. A segment's name ends in `.archive` once it is finished; until then, and after a
crash, in `.archive.part`, and may end in the middle of a record.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ..deprecated import stored_fields, stored_name
from ..errors import ConfigError, WireError
from ..spec import RunSpec
from . import codec
from .trajectory import MAX_BYTES, Header, decode_trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .trajectory import Trajectory

SUFFIX, PART = ".archive", ".archive.part"
MAGIC = b"BMARCHV1"
FORMAT = 1
_FRAME = struct.Struct("<II")
_RECORD_BYTES_MAX = MAX_BYTES + (1 << 16)
_HEAD_FIELDS = {"format", "run", "spec"}
_ENTRY_FIELDS = {"actor", "id", "header", "imported", "payload", "rejected", "problem", "commit", "version"}
_NUMBER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ArchivedEntry:
    """One entry, and the commit that consumed it."""

    actor: str
    id: tuple[int, int]
    header: Header | None  # None where it was not even shaped like an entry
    payload: bytes
    rejected: str  # the reason; empty where it was trained on
    problem: str  # why it was invalid
    commit: str
    version: int  # of the run after that commit

    def trajectory(self, spec: RunSpec) -> Trajectory:
        """What was played, held against the spec of the run it is of. Raises WireError naming the field."""
        if self.header is None:
            raise WireError("entry: none, expected one with a header")
        return decode_trajectory(self.payload, self.header, self.actor, spec)


def frame(record: bytes) -> bytes:
    """A record as it stands in the file."""
    return _FRAME.pack(len(record), zlib.crc32(record)) + record


def encode_head(run: str, spec: RunSpec) -> bytes:
    """The first record of a segment."""
    return codec.encode({"format": FORMAT, "run": run, "spec": spec.to_json().encode()})


def encode_entry(entry: ArchivedEntry) -> bytes:
    """Any other record."""
    header = entry.header
    numbers = header and [header.version, header.epoch, header.steps, header.games, header.created_ms]
    return codec.encode(
        {
            "actor": entry.actor,
            "id": list(entry.id),
            "header": numbers,
            "imported": header is not None and header.imported,
            "payload": entry.payload,
            "rejected": entry.rejected,
            "problem": entry.problem[: codec.MAX_TEXT // 4],
            "commit": entry.commit,
            "version": entry.version,
        }
    )


def read_segment(path: Path) -> tuple[RunSpec, Iterator[ArchivedEntry]]:
    """The spec of the run that a segment is of, and its entries, read as they are asked for.

    Raises:
        WireError: if the file is no segment; from the iterator, where a record is torn or is none.
    """
    records = _records(path)
    head = codec.decode(next(records, b""), max_bytes=_RECORD_BYTES_MAX)
    codec.check_fields(head, _HEAD_FIELDS)
    codec.take_int(head, "format", FORMAT, FORMAT)
    try:
        spec = RunSpec.from_json(head["spec"])
    except ConfigError as error:
        raise WireError(str(error)) from error
    return spec, (_decode_entry(record) for record in records)


def whole_bytes(path: Path) -> int:
    """How many bytes of a segment are whole records; what a crash left behind them can be cut off."""
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
        raise WireError(f"record at byte {at}: torn, expected it whole")
    length, checksum = _FRAME.unpack(frame_bytes)
    if length > min(_RECORD_BYTES_MAX, size - file.tell()):
        raise WireError(f"record at byte {at}: {length} bytes, expected at most {size - file.tell()}: torn")
    record = file.read(length)
    if zlib.crc32(record) != checksum:
        raise WireError(f"record at byte {at}: wrong checksum, expected {checksum:#010x}")
    return record


def _decode_entry(record: bytes) -> ArchivedEntry:
    fields = stored_fields(codec.decode(record, max_bytes=_RECORD_BYTES_MAX))
    codec.check_fields(fields, _ENTRY_FIELDS)
    header = None
    if fields["header"] is not None:
        version, epoch, steps, games, created_ms = _numbers(fields["header"], "header", 5)
        header = Header(version, epoch, steps, games, created_ms, imported=fields["imported"] is True)
    if not isinstance(fields["payload"], bytes):
        raise WireError(f"payload: {type(fields['payload']).__name__}, expected bytes")
    left, right = _numbers(fields["id"], "id", 2)
    return ArchivedEntry(
        actor=codec.take_text(fields, "actor"),
        id=(left, right),
        header=header,
        payload=fields["payload"],
        rejected=stored_name(codec.take_text(fields, "rejected")),
        problem=codec.take_text(fields, "problem"),
        commit=codec.take_text(fields, "commit"),
        version=codec.take_int(fields, "version", 0, _NUMBER_MAX),
    )


def _numbers(raw: object, name: str, count: int) -> list[int]:
    if not isinstance(raw, list) or len(raw) != count or not all(type(n) is int and n >= 0 for n in raw):
        raise WireError(f"{name}: {raw!r:.80}, expected {count} numbers of at least 0")
    return raw
