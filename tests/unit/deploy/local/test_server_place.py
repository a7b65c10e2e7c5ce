"""Where bots reach the embedded server: which places are refused, and what keeps others out."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from broodmind.common.errors import ConfigError
from broodmind.common.server.address import read_address
from broodmind.deploy.local.server_place import take_place


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory, monkeypatch):
    """A folder for sockets of this test alone."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_the_place_of_a_run_stays_the_same_and_is_this_users_alone(tmp_path):
    first = take_place("r", None, "", tmp_path)
    assert stat.S_IMODE(first.socket.parent.stat().st_mode) == 0o700
    line = first.connect_line("r")
    assert line == f'connect("unix://{first.socket}", run="r")'
    os.close(first.lock)
    again = take_place("r", None, "", tmp_path)
    assert again.connect_line("r") == line
    os.close(again.lock)


def test_a_run_has_one_server_on_a_machine(tmp_path):
    place = take_place("r", None, "", tmp_path)
    other = take_place("other", None, "", tmp_path)
    with pytest.raises(ConfigError, match="run: 'r' has a server on this machine already"):
        take_place("r", None, "", tmp_path, wait_s=0.0)
    os.close(place.lock)
    os.close(other.lock)


def test_a_folder_that_others_can_enter_is_refused(tmp_path, temporary):
    folder = temporary / f"broodmind-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="can be used by others"):
        take_place("r", None, "", tmp_path)


def test_a_name_too_long_for_a_socket_is_refused(tmp_path, monkeypatch, temporary):
    deep = temporary / ("d" * 80)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(ConfigError, match="expected a shorter name"):
        take_place("r" * 64, None, "", tmp_path)


@pytest.mark.parametrize("listen", ["", "here", "6379", ":6379", "127.0.0.1:x", "127.0.0.1:99999", "::1:6379", "x y:1"])
def test_an_address_that_is_none_is_refused(tmp_path, listen):
    with pytest.raises(ConfigError, match=r"^listen: "):
        take_place("r", listen, "", tmp_path)


def test_an_address_in_use_is_refused(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match=r"^listen: .*, expected a free address"),
    ):
        take_place("r", f"127.0.0.1:{taken.getsockname()[1]}", "", tmp_path)


def test_this_machine_alone_needs_no_password(tmp_path):
    place = take_place("r", "127.0.0.1:0", "", tmp_path)
    os.close(place.lock)
    assert (place.password, list(tmp_path.iterdir())) == ("", [])
    assert place.connect_line("r") == f'connect("redis://127.0.0.1:{place.port}", run="r")'
    assert place.port > 0


def test_others_need_a_password_that_is_kept_and_never_shown(tmp_path):
    first = take_place("r", "0.0.0.0:0", "", tmp_path)
    os.close(first.lock)
    again = take_place("r", "0.0.0.0:0", "", tmp_path)
    os.close(again.lock)
    assert first.password == again.password
    assert len(first.password) >= 32
    file = tmp_path / "redis-password"
    assert file.read_text() == f"{first.password}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    line = first.connect_line("r")
    assert first.password not in line + repr(first)
    assert str(file) in line
    assert read_address(line.partition('"')[2].partition('"')[0]).place == f"{socket.gethostname()}:{first.port}"


def test_a_password_that_was_given_is_the_servers(tmp_path):
    place = take_place("r", "0.0.0.0:0", "secret", tmp_path)
    os.close(place.lock)
    assert place.password == "secret"
    assert not list(tmp_path.iterdir())
    assert "secret" not in place.connect_line("r")
