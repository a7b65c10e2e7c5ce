"""TensorBoard's event files: numbers by tag and step, as TFRecords of `Event` messages.

The format has two layers: records with checksums (tensorflow/core/lib/io/record_writer.h), and in each record a
protocol buffer (tensorflow/core/util/event.proto), of which four fields are needed. Importing the writer of tensorboard
or of tensorboardX takes 0.6 seconds and 25 MB, which a process that follows a run of two seconds does not have.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VERSION = b"brain.Event:2"
_START = 1  # of SessionLog: what was written of this step and later ones is void
_LARGEST = 3.4028234e38  # of 32 bits
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK = 0xA282EAD8


class EventFile:
    """One file, which is appended to. Nothing is buffered beyond one call."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The names of a folder are read in order, so they begin with the time.
        name = f"events.out.tfevents.{time.time_ns() // 1000:016}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self._file = self.path.open("ab")
        self._write(_event(time.time(), 0, _bytes_field(3, _VERSION)))

    def restart(self, step: int) -> None:
        """Declare void what was written of this step and later ones, in this file and earlier ones."""
        self._write(_event(time.time(), step, _bytes_field(7, b"\x08" + _varint(_START))))

    def scalars(self, values: Mapping[str, float], step: int, time_s: float) -> None:
        """Add one point to the curve of each tag.

        Args:
            values: by tag.
            step: the point's place on the horizontal axis.
            time_s: the wall time, in seconds since 1970.
        """
        summary = b"".join(_bytes_field(1, _value(tag, value)) for tag, value in values.items())
        self._write(_event(time_s, step, _bytes_field(5, summary)))

    def flush(self) -> None:
        """Hand over to the system what was added."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + struct.pack("<I", masked_crc(length)) + event + struct.pack("<I", masked_crc(event)))


def masked_crc(data: bytes) -> int:
    """CRC-32C of the data, rotated and offset as TFRecords have it."""
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def _event(time_s: float, step: int, content: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", time_s) + b"\x10" + _varint(step) + content


def _value(tag: str, value: float) -> bytes:
    return _bytes_field(1, tag.encode()) + b"\x15" + struct.pack("<f", min(max(value, -_LARGEST), _LARGEST))


def _bytes_field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)  # noqa: PLW2901 - the remainder of dividing it
        table.append(crc)
    return table


_TABLE = _crc_table()
