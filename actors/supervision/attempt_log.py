"""Records of process attempts: a file with one JSON object a line, appended when an attempt has ended."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...common.process.clock import monotonic_s

if TYPE_CHECKING:
    from pathlib import Path

    from .child_process import ChildProcess

# Fields that only the process itself knows and may report.
_REPORTED = ("version", "map", "opponent", "seed")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """The result of one attempt: one run of a slot's process.

    `outcome` is "win", "loss", "tie" or "truncated" for a game that was played to its end and is trained on; "aborted"
    if the actor aborted it; "drained" for a process that was asked to stop. Otherwise it tells how the process ended:
    "crashed", "stalled" (it made no progress) or "overtime".
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


def record(slot: str, attempt: ChildProcess, ended: tuple[str, str] | None) -> ProcessRecord:
    """The record of an attempt whose process has ended.

    Args:
        slot: the slot's name.
        attempt: the process.
        ended: outcome and reason, if the supervisor ended the process.
    """
    code = attempt.process.returncode
    reported: dict[str, Any] = attempt.reported
    outcome, reason = ended or _outcome_of(code)
    reason = reported.get("error", reason)
    if "outcome" in reported:  # the game's outcome stands, even if its process crashed afterwards
        outcome, reason = reported["outcome"], reported.get("reason", "")
    return ProcessRecord(
        id=f"{slot}-{attempt.started_ms}",
        slot=slot,
        started_ms=attempt.started_ms,
        duration_s=round(monotonic_s() - attempt.started_s, 3),
        outcome=outcome,
        reason=reason,
        exit_code=code if code >= 0 else None,
        signal=None if code >= 0 else _signal_name(-code),
        **{name: reported.get(name) for name in _REPORTED},
    )


def append(path: Path, line: ProcessRecord) -> None:
    """Append a record to a file. It is one write of one line, so several supervisors may share the file."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(asdict(line)).encode() + b"\n")


def _outcome_of(code: int) -> tuple[str, str]:
    if code == 0:
        return "drained", ""
    return "crashed", f"exit code {code}" if code > 0 else f"ended by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
