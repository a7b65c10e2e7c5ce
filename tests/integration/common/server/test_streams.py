"""The connection against a real server, after an error in the calling code."""

from __future__ import annotations

import pytest


class Broken:
    """An argument that cannot be written."""

    def __str__(self):
        return str(1 // 0)


def test_after_any_error_no_reply_of_before_is_taken_for_the_next_one(redis):
    redis.send([("ECHO", "of before")])
    with pytest.raises(ZeroDivisionError):
        redis.call("ECHO", Broken())
    assert redis.call("ECHO", "of now") == b"of now"
