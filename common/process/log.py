"""Log events: a fixed sentence plus fields, so that a line can be searched by either."""

from __future__ import annotations

import logging
import sys


class Log:
    """`Log("learner").info("version published", version=7)` writes `... learner: version published version=7`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"broodmind.{name}")

    def debug(self, event: str, **fields: object) -> None:
        """For whoever debugs this package."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What an operator wants to see once."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What an operator should look at; the process goes on."""
        self._write(logging.WARNING, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s%s", event, "".join(f" {key}={value}" for key, value in fields.items()))


def log_to_stderr(level: int) -> None:
    """Set up logging for a process of ours. A program that imports us as a library configures logging itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger("broodmind")
    root.handlers[:] = [handler]
    root.setLevel(level)
