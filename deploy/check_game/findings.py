"""What `broodmind check-game` has found: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["OK", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    subject: str
    text: str

    def __str__(self) -> str:
        """The line, in columns."""
        return f"{self.level:8} {self.subject:13} {self.text}"


def ok(subject: str, text: str) -> Finding:
    """Something that is as it should be."""
    return Finding("OK", subject, text)


def warning(subject: str, text: str) -> Finding:
    """Something that makes training worse, or that its author may not know."""
    return Finding("warning", subject, text)


def error(subject: str, text: str) -> Finding:
    """Something that a run would end with, or reject."""
    return Finding("error", subject, text)
