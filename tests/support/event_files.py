"""Reads TensorBoard's event files: with TensorBoard where it is installed, otherwise by their published format."""

from __future__ import annotations

import importlib.util
import struct
from typing import TYPE_CHECKING

from broodmind.deploy.recording.event_file import masked_crc

if TYPE_CHECKING:
    from pathlib import Path

Points = dict[str, list[tuple[int, float, float]]]


def scalars(folder: Path) -> Points:
    """Step, value and wall time of the points of each tag, over all files of a folder."""
    if importlib.util.find_spec("tensorboard") is None:
        return _by_format(folder)
    from tensorboard.backend.event_processing import event_accumulator

    read = event_accumulator.EventAccumulator(str(folder), size_guidance={event_accumulator.SCALARS: 0})
    read.Reload()
    return {
        tag: [(point.step, point.value, point.wall_time) for point in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


def records(path: Path) -> list[bytes]:
    """The records of one file, whose checksums are right."""
    raw, found = path.read_bytes(), []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        assert struct.unpack("<I", raw[8:12])[0] == masked_crc(raw[:8]), "checksum of a length"
        content = raw[12 : 12 + length]
        assert struct.unpack("<I", raw[12 + length : 16 + length])[0] == masked_crc(content), "checksum of a record"
        found.append(content)
        raw = raw[16 + length :]
    return found


def _by_format(folder: Path) -> Points:
    found: Points = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in records(path):
            event = _fields(record)
            for summary in event.get(5, []):
                for value in _fields(summary)[1]:
                    parts = _fields(value)
                    point = (event[2][0], struct.unpack("<f", parts[2][0])[0], struct.unpack("<d", event[1][0])[0])
                    found.setdefault(parts[1][0].decode(), []).append(point)
    return found


def _fields(message: bytes) -> dict[int, list]:
    """The fields of a protocol buffer by number."""
    found: dict[int, list] = {}
    while message:
        key, message = _varint(message)
        if key & 7 == 0:
            value, message = _varint(message)
        else:
            size, message = {1: lambda m: (8, m), 5: lambda m: (4, m), 2: _varint}[key & 7](message)
            value, message = message[:size], message[size:]
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes) -> tuple[int, bytes]:
    number = shift = 0
    for at, byte in enumerate(message):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, message[at + 1 :]
    raise ValueError("varint without an end")
