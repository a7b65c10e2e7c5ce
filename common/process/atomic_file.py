"""Atomic file writes: after a power cut a file is complete, or as it was before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PART = ".part"  # suffix of a file while it is written; a process that is killed meanwhile leaves it behind


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after a power cut it has its whole new content, or its old one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush a folder to disk, so that a rename in it survives a power cut. Windows has no such call and needs none."""
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
