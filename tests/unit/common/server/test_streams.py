"""What the connection does without the client library: it packs commands, and words the server's error replies."""

from __future__ import annotations

import pytest
import redis
from redis.connection import Connection

from broodmind.common.errors import RedisDenied
from broodmind.common.server.streams import _LARGE_BYTES, NotNow, _answered, _packed

LARGE = bytes(range(256)) * (_LARGE_BYTES // 256)


def test_commands_packed_are_the_bytes_that_the_library_would_send():
    commands = [
        ("SET", "a", LARGE),
        ("HSET", "key", "n", 12, "x", 0.25, "empty", b"", "text", "zwölf"),
        ("SET", LARGE, LARGE[:-1]),
        ("GET", "a"),
    ]
    packed = Connection().pack_commands(commands)
    assert b"".join(_packed(commands)) == b"".join(packed)


def test_large_arguments_are_not_copied():
    assert sum(fragment is LARGE for fragment in _packed([("SET", "a", LARGE), ("SET", "b", LARGE)])) == 2


@pytest.mark.parametrize(
    ("kind", "code", "text", "message"),
    [
        (
            redis.AuthenticationError,
            "NOAUTH",
            "Authentication required.",
            "NOAUTH Authentication required, expected a pas",
        ),
        (
            redis.AuthenticationError,
            "WRONGPASS",
            "invalid.",
            "WRONGPASS invalid, expected the name and the password of a",
        ),
        (
            redis.exceptions.NoPermissionError,
            "NOPERM",
            "No permissions",
            "permissions, expected a user with the rights of",
        ),
        (
            redis.ResponseError,
            None,
            "DENIED protected mode.",
            "protected mode, expected a server that accepts connectio",
        ),
        (
            redis.AuthenticationError,
            "ERR",
            "Are you sure?",
            "sure, expected a user and password that this server accepts",
        ),
    ],
)
def test_a_denied_command_says_what_the_server_expected(kind, code, text, message):
    error = _answered("redis://h", kind(text, status_code=code))
    assert isinstance(error, RedisDenied)
    assert message in str(error)


def test_no_message_has_two_punctuation_marks_in_a_row():
    error = _answered("redis://h", redis.ReadOnlyError("You can't write against a replica.", status_code="READONLY"))
    assert isinstance(error, NotNow)
    assert str(error).endswith("against a replica, expected a server that accepts writes")
