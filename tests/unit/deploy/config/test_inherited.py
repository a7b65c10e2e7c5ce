"""Settings from a process to its child: one line on standard input, and nothing of it anywhere else."""

from __future__ import annotations

import os

import pytest

from broodmind.common.errors import ConfigError
from broodmind.deploy.config.given import of_values
from broodmind.deploy.config.inherited import child_arguments, encode, hand_over, receive

GIVEN = of_values({"hidden": "8,4", "shared": True, "gamma": "0.5", "checkpoint_dir": "a/b", "redis": "redis://h"}, "")


@pytest.fixture
def standard_input(monkeypatch):
    """What is written to it is what `receive` reads."""
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    yield lambda text: os.write(writing, text), lambda: os.close(writing)
    os.dup2(saved, 0)
    for descriptor in (reading, saved):
        os.close(descriptor)


def test_the_child_reads_the_settings_and_no_further_byte(standard_input):
    write, close = standard_input
    write(encode(GIVEN) + b"the rest")
    assert receive().values == GIVEN.values
    assert os.read(0, 100) == b"the rest"
    close()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "inherit: 0 bytes on standard input, expected one line of JSON"),
        (b'{"gamma": 0.5', "inherit: 13 bytes on standard input, expected one line of JSON"),
        (b"[1]\n", "inherit: 4 bytes, expected settings of this version"),
        (b"{S3cret\n", "inherit: 8 bytes, expected settings of this version"),
        (b'{"S3cret": 1}\n', "inherit: 14 bytes, expected settings of this version"),
        (b'{"gamma": 2}\n', "gamma: 2 (handed over by the parent process), expected a finite number"),
    ],
)
def test_an_invalid_message_is_refused(standard_input, line, message):
    write, close = standard_input
    write(line)
    close()
    with pytest.raises(ConfigError) as refused:
        receive()
    assert str(refused.value).startswith(message)
    assert "S3cret" not in str(refused.value)


def test_children_get_the_servers_url_with_its_password_and_no_other_secret():
    given = of_values({"redis": "redis://h", "redis_password": "x", "redis_password_file": "f", "seed": 3}, "")
    assert hand_over(given, "redis://:x@h").values == {"seed": 3, "redis": "redis://:x@h"}


def test_nothing_of_the_settings_is_on_the_command_line():
    assert child_arguments("actor", "box-001") == ["actor", "--inherit", "box-001"]
