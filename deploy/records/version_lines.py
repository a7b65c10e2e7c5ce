"""Lines of JSON that each tell of one version: up to where they are of known versions, and when one was committed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK_BYTES = 1 << 16


def lines_until(file: BinaryIO, epoch: int, version: int) -> tuple[int, dict[str, Any]]:
    """How many bytes of a file are lines of versions up to the given one, and the fields of the last of these.

    The file is read from its end, as only the last lines of a long run can be too new, or cut off.
    """
    at, text = file.seek(0, 2), b""
    while at:
        step = min(_BLOCK_BYTES, at)
        at -= step
        file.seek(at)
        text = file.read(step) + text
        while (end := text.rfind(b"\n")) >= 0:
            start = text.rfind(b"\n", 0, end) + 1
            if not start and at:
                break  # the beginning of this line is not read yet
            fields = _fields(text[start:end])
            if fields is not None and (fields["epoch"], fields["version"]) <= (epoch, version):
                return at + end + 1, fields
            text = text[:start]
    return 0, {}


def committed_at(metrics: Path, epoch: int, version: int) -> dict[str, float | None]:
    """When a version was committed, as metrics.jsonl has it.

    In a long run not each version has a line. Then it is when the last one before it that has a line was committed,
    by at most a 20,000th of the run's time too early.

    Returns:
        `version_time` in seconds since 1970 and `version_seconds` of training, both None where the file does not tell,
        as of the first version of an epoch, which no update has made.
    """
    try:
        with metrics.open("rb") as file:
            _, line = lines_until(file, epoch, version)
    except OSError:
        line = {}
    known = line if line.get("epoch") == epoch else {}
    return {"version_time": known.get("time"), "version_seconds": known.get("seconds")}


def _fields(line: bytes) -> dict[str, Any] | None:
    """The fields of a line; None if it is not one of this kind."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), int) for name in ("epoch", "version")):
        return None
    return found
