"""The incarnation of an actor: when it started, so that the ids of its entries are above those of earlier starts.

The actor keeps it in a key of its own, as text: START_MS NONCE. The nonce tells two processes apart that start under
one name in the same millisecond.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...common.process.clock import now_ms
from ...common.server.streams import ReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.server.streams import Reply

_LOOK_BYTES = 64  # more than the key ever holds: of anything longer no more is read
_MAX = 1 << 52  # milliseconds, far in the future: beyond it a start could not rise above it and still be an entry's id
_TEXT = re.compile(rb"(\d{1,16})(?: \S*)?")


def parse_incarnation(raw: bytes | None) -> int:
    """The start in what a key holds; 0 where there is none, or nothing that a next start could rise above."""
    found = _TEXT.fullmatch(raw or b"")
    start_ms = int(found[1]) if found else 0
    return start_ms if start_ms < _MAX else 0


def incarnation_text(start_ms: int, nonce: str) -> str:
    """What the key holds."""
    return f"{start_ms} {nonce}"


def take_incarnation(call: Callable[..., Reply], key: str, nonce: str) -> tuple[int, int]:
    """Raise the key to a start of our own; what is no start is replaced.

    Args:
        call: sends one command to the server.
        key: the actor's key for its incarnation.
        nonce: this process's.

    Returns:
        The incarnation before, or 0 if there was none; and ours.
    """
    try:
        raw = call("GETRANGE", key, 0, _LOOK_BYTES - 1)
        before = parse_incarnation(raw)
        while before or not raw:
            ours = max(now_ms(), before + 1)
            found = parse_incarnation(call("SET", key, incarnation_text(ours, nonce), "GET"))
            if found <= before:
                return before, ours
            before = found  # another process of this name has entered in between
    except ReplyError as error:
        if error.code != "WRONGTYPE":
            raise
    ours = now_ms()
    call("SET", key, incarnation_text(ours, nonce))
    return 0, ours
