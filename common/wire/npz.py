"""Reads arrays from an untrusted .npz file. Nothing in it is executed, and memory is limited by its actual size.

`numpy.load(allow_pickle=False)` executes nothing either, but it allocates the shape that a header declares before it
checks the number of bytes. This module reads the bytes first, and never uses a member's name as a path.
"""

from __future__ import annotations

import io
import math
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from ..errors import WireError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from .codec import Array

FILE_BYTES_MAX = 16 << 20  # of the file: hundreds of times the largest known one
_UNPACKED = 4  # times the largest size of a file: of all arrays that are read from it
UNPACKED_BYTES_MAX = _UNPACKED * FILE_BYTES_MAX
_MEMBERS_MAX = 64
_CENTRAL_ENTRY = b"PK\x01\x02"  # the first bytes of each entry in a zip file's directory
_KINDS = "biuf"  # booleans and numbers; not objects, text, dates or records
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(
    path: Path, names: Collection[str] | None = None, *, file_bytes_max: int = FILE_BYTES_MAX
) -> dict[str, Array]:
    """The arrays of a file by name.

    Args:
        path: the file.
        names: the arrays to read, of which the file may lack some; None: all.
        file_bytes_max: the size of a file that is not read. Its arrays may have four times that when unpacked.

    Raises:
        WireError: naming the problem, if the file is not an npz of numbers.
    """
    data = _read(path, file_bytes_max)
    if data.count(_CENTRAL_ENTRY) > _MEMBERS_MAX:
        raise WireError(f"file: more than {_MEMBERS_MAX} arrays, expected fewer")
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            room = _UNPACKED * file_bytes_max
            for name, member in _members(archive).items():
                if names is not None and name not in names:
                    continue
                arrays[name] = _array(name, archive, member, room)
                room -= member.file_size
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"file: {str(error) or type(error).__name__:.200}, expected a readable npz") from error
    return arrays


def _read(path: Path, bytes_max: int) -> bytes:
    """The contents of a file. A pipe or a device, which might never end, is an error and is not opened."""
    try:
        if not path.is_file():
            raise WireError(f"file: {'not a plain file' if path.exists() else 'missing'}, expected an npz")
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise WireError(f"file: {error.strerror}, expected a readable npz") from error
    if len(data) > bytes_max:
        raise WireError(f"file: more than {bytes_max} bytes, expected fewer")
    return data


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise WireError(f"{name!r:.80}: given twice, expected once")
        members[name] = member
    return members


def _array(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: int) -> Array:
    if member.file_size > room:
        raise WireError(f"{name!r:.80}: {member.file_size} bytes unpacked, expected at most {room}")
    with archive.open(member) as stream:
        raw = stream.read(member.file_size + 1)  # to the end, because zipfile checks the checksum there
    buffer = io.BytesIO(raw)
    version = npy.read_magic(buffer)
    if version not in _HEADERS:
        raise WireError(f"{name!r:.80}: npy format {version}, expected {' or '.join(map(str, _HEADERS))}")
    shape, fortran_order, dtype = _HEADERS[version](buffer)
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise WireError(f"{name!r:.80}: dtype {str(dtype)!r:.40}, expected numbers")
    if not all(size >= 0 for size in shape):
        raise WireError(f"{name!r:.80}: shape {shape}, expected sizes of at least 0")
    expected, found = math.prod(shape) * dtype.itemsize, len(raw) - buffer.tell()
    if expected != found:
        raise WireError(f"{name!r:.80}: {found} bytes, expected {expected} for {dtype} {shape}")
    if not found:
        return np.empty(shape, dtype)
    return np.frombuffer(raw, dtype, offset=buffer.tell()).reshape(shape, order="F" if fortran_order else "C")
