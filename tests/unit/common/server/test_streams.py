"""What the connection does without the client library: it packs commands, and words the server's error replies."""

from __future__ import annotations

from redis.connection import Connection

from broodmind.common.server.streams import LARGE_BYTES, in_parts, pack_commands

LARGE = bytes(range(256)) * (LARGE_BYTES // 256)


def test_commands_packed_are_the_bytes_that_the_library_would_send():
    commands = [
        ("SET", "a", LARGE),
        ("HSET", "key", "n", 12, "x", 0.25, "empty", b"", "text", "zwölf"),
        ("SET", LARGE, LARGE[:-1]),
        ("GET", "a"),
    ]
    packed = Connection().pack_commands(commands)
    assert b"".join(pack_commands(commands)) == b"".join(packed)


def test_large_arguments_are_not_copied():
    assert sum(fragment is LARGE for fragment in pack_commands([("SET", "a", LARGE), ("SET", "b", LARGE)])) == 2


def test_large_pieces_are_sent_in_parts():
    pieces = [b"ab", LARGE * 3, LARGE]
    parts = in_parts(pieces)
    assert b"".join(parts) == b"".join(pieces)
    assert [len(part) for part in parts] == [2, *[LARGE_BYTES] * 4]
    assert parts[-1] is LARGE
