"""Atomic file writes: after a power cut a file is complete, or as it was before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PART = ".part"  # what the name of a file ends in while it is written; one killed meanwhile leaves it behind


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after a power cut it is there whole, or as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring what was renamed in a folder to its disk; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
