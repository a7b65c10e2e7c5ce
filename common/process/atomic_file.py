"""Atomic file writes: after a power cut a file is complete, or as it was before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PART = ".part"  # suffix of a file that is being written; it is left over if the process is killed meanwhile


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after a power cut it is complete, or as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush the renames in a folder to the disk. Windows has no such call and needs none."""
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
