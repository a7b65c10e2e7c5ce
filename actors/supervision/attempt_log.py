"""The record of every attempt: a JSON object a line, appended when the attempt is over."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...common.process.clock import monotonic_s

if TYPE_CHECKING:
    from pathlib import Path

    from .child_process import Child

# What only the process itself knows of its attempt; missing where it did not say.
_REPORTED = ("version", "map", "opponent", "seed")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """How an attempt went.

    `outcome` is win, loss, tie or truncated for a game that was played to its end and is trained on; aborted where
    the player gave it up; drained for a process that was asked to leave; and otherwise how the process ended: crashed,
    stalled (no progress), overtime.
    """

    id: str
    slot: str
    started_ms: int
    duration_s: float
    outcome: str
    reason: str
    exit_code: int | None
    signal: str | None
    version: str | None = None  # EPOCH-VERSION of the policy
    map: str | None = None
    opponent: str | None = None
    seed: int | None = None


def record(slot: str, attempt: Child, ended: tuple[str, str] | None) -> ProcessRecord:
    """The record of a closed attempt; `ended` is outcome and reason where it was not the process that ended it."""
    code = attempt.process.returncode
    said: dict[str, Any] = attempt.reported
    outcome, reason = ended or _own_end(code)
    if "outcome" in said:  # a game that was over stays over, whatever then happened to its process
        outcome, reason = said["outcome"], said.get("reason", "")
    return ProcessRecord(
        id=f"{slot}-{attempt.started_ms}",
        slot=slot,
        started_ms=attempt.started_ms,
        duration_s=round(monotonic_s() - attempt.started_s, 3),
        outcome=outcome,
        reason=reason,
        exit_code=code if code >= 0 else None,
        signal=None if code >= 0 else _signal_name(-code),
        **{name: said.get(name) for name in _REPORTED},
    )


def append(path: Path, line: ProcessRecord) -> None:
    """Add a record to a file. One write of one line: several supervisors may share the file."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(asdict(line)).encode() + b"\n")


def _own_end(code: int) -> tuple[str, str]:
    if code == 0:
        return "drained", ""
    return "crashed", f"exit code {code}" if code > 0 else f"ended by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
