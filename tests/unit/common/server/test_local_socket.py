"""The URL that a bot uses where it is told none."""

from __future__ import annotations

import os
import socket

import pytest

from broodmind.common.errors import ConfigError
from broodmind.common.server.local_socket import default_url, local_socket, running_socket


def test_it_is_the_socket_of_the_runs_name_in_a_folder_of_the_user(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    monkeypatch.delenv("BROODMIND_REDIS", raising=False)
    assert default_url("corridor") == f"unix:///tmp/broodmind-{os.getuid()}/corridor.sock"


def test_the_environment_goes_before(monkeypatch):
    monkeypatch.setenv("BROODMIND_REDIS", "redis://10.0.0.5:6379")
    assert default_url("corridor") == "redis://10.0.0.5:6379"


@pytest.mark.parametrize(("run", "message"), [("a/b", "run: 'a/b', expected 1 to 64"), ("r" * 60, "a shorter name")])
def test_a_name_that_cannot_be_a_socket_is_refused(monkeypatch, run, message):
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + "d" * 40)
    with pytest.raises(ConfigError, match=message):
        local_socket(run)


def test_a_socket_counts_only_while_a_server_listens_there(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = local_socket("corridor")
    assert running_socket("corridor") is None
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert running_socket("corridor") == path
        assert running_socket("other") is None
    assert path.exists()  # as a server that was killed leaves it
    assert running_socket("corridor") is None
    assert running_socket("a/b") is None
