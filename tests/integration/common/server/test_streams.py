"""The connection against a real server, after an error in the calling code."""

from __future__ import annotations

import pytest

from broodmind.common.errors import RedisDenied
from broodmind.common.server.streams import Server


class Broken:
    """An argument that cannot be written."""

    def __str__(self):
        return str(1 // 0)


def test_after_any_error_no_reply_of_before_is_taken_for_the_next_one(redis):
    redis.send([("ECHO", "of before")])
    with pytest.raises(ZeroDivisionError):
        redis.call("ECHO", Broken())
    assert redis.call("ECHO", "of now") == b"of now"


def test_a_password_for_a_server_that_has_none_is_denied_with_what_it_expects(shared_server):
    server = Server(shared_server.url.replace("redis://", "redis://:S3cret@"))
    with pytest.raises(RedisDenied, match=r"expected .*a user and password that this server accepts") as denied:
        server.call("PING")
    assert "S3cret" not in str(denied.value)
    server.close()
