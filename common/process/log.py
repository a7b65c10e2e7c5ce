"""Log lines: a fixed sentence plus fields in logfmt's form, so that a program can parse them.

Fields have logfmt's form: `name=value`. A value with blanks, quotes, equals signs or control characters is written as a
JSON string. structlog and similar libraries are not used, because this module runs on game machines, which install only
numpy, redis and msgpack.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TextIO

_PLAIN = re.compile(r'[^\s"=\x00-\x1f\x7f-\x9f]+')


class Log:
    """`Log("learner").info("version published", version=7)` writes `... learner: version published version=7`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"broodmind.{name}")

    def debug(self, event: str, **fields: object) -> None:
        """Log a detail for developers of this package."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log an event that an operator wants to see once."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log a problem that an operator should look at. The process continues."""
        self._write(logging.WARNING, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s%s", event, format_fields(fields))


def format_fields(fields: dict[str, object]) -> str:
    """Fields as the end of a log line: ` actor=a-000 reason="exit code 1"`."""
    return "".join(f" {name}={_formatted(value)}" for name, value in fields.items())


def _formatted(value: object) -> str:
    text = str(value)
    # JSON escapes control characters: text that an actor has sent must not control an operator's terminal.
    return (
        text if _PLAIN.fullmatch(text) else json.dumps(text).replace("\x7f", "\\u007f")
    )  # JSON does not escape this one


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time: a live display replaces it, so that lines stand above the display."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)  # which sets no stream

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def log_to_stderr(level: int) -> None:
    """Set up logging for a process of ours. A program that imports us as a library configures logging itself."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger("broodmind")
    root.handlers[:] = [handler]
    root.setLevel(level)
