"""Settings for child processes: one line of JSON on the child's standard input.

A password may be among the settings. So they are not on a command line, which every user of the machine can read, nor
in the environment, which the child's own children would inherit. After the line, the pipe stays open until the parent
ends.
"""

from __future__ import annotations

import json
import os

from ...common.errors import ConfigError
from .given import Given, of_values
from .tree import entries

_FLAG = "--inherit"
_MOST_BYTES = 1 << 20


def child_arguments(command: str, label: str) -> list[str]:
    """The arguments of a command that reads its settings from its parent. The label is only shown by `ps`."""
    return [command, _FLAG, label]


def hand_over(given: Given, url: str) -> Given:
    """The settings for child processes. Those of the connection are replaced by the whole URL of the server."""
    mine = {name for name, entry in entries().items() if entry.path == ("connection",)}
    return given.only(given.values.keys() - mine).having(redis=url)


def encode(given: Given) -> bytes:
    """Encode settings as the line for a child process."""
    return json.dumps(given.plain()).encode() + b"\n"


def receive() -> Given:
    """Read the line from standard input, and nothing beyond it. Raises ConfigError if there is none."""
    line = bytearray()
    while not line.endswith(b"\n"):
        # Byte by byte and unbuffered, because what comes after the line is for the thread that watches the pipe.
        byte = os.read(0, 1)
        if not byte or len(line) > _MOST_BYTES:
            raise ConfigError(f"inherit: {len(line)} bytes on standard input, expected one line of JSON from a parent")
        line += byte
    try:
        return of_values(json.loads(line), "handed over by the parent process")
    except (ValueError, AttributeError, KeyError) as error:
        raise ConfigError(f"inherit: {len(line)} bytes, expected settings of this version of broodmind") from error
