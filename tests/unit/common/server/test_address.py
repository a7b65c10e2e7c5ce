"""The server's address: read in every form, and shown without what is secret."""

from __future__ import annotations

import re

import pytest

from broodmind.common.errors import ConfigError
from broodmind.common.server.address import read_address, redacted, with_password
from broodmind.common.server.streams import Server

AT = "127.0.0.1:21299"
READABLE = {  # url: scheme, place, database, user, password
    f"redis://{AT}": ("redis", AT, "", "", ""),
    f"redis://{AT}/3": ("redis", AT, "3", "", ""),
    "redis://localhost": ("redis", "localhost", "", "", ""),
    "redis://[::1]:6379/0": ("redis", "[::1]:6379", "0", "", ""),
    f"redis://u:S3cret@{AT}": ("redis", AT, "", "u", "S3cret"),
    f"redis://:S3cret@{AT}": ("redis", AT, "", "", "S3cret"),
    f"redis://u:S3cret/x@{AT}": ("redis", AT, "", "u", "S3cret/x"),
    f"redis://u:S3cret#x@{AT}": ("redis", AT, "", "u", "S3cret#x"),
    f"redis://u:S3cret?x@{AT}": ("redis", AT, "", "u", "S3cret?x"),
    f"redis://u:[S3cret]@{AT}": ("redis", AT, "", "u", "[S3cret]"),
    f"redis://u:S3cr@et@{AT}": ("redis", AT, "", "u", "S3cr@et"),
    f"redis://u:S3cr:et@{AT}": ("redis", AT, "", "u", "S3cr:et"),
    f"redis://u:12/S3cret@{AT}": ("redis", AT, "", "u", "12/S3cret"),
    f"redis://u:12?db=S3cret@{AT}": ("redis", AT, "", "u", "12?db=S3cret"),
    f"redis://u:S3%63ret@{AT}": ("redis", AT, "", "u", "S3cret"),
    f"redis://u:S3%2Fcret%40@{AT}": ("redis", AT, "", "u", "S3/cret@"),
    f"redis://{AT}?password=S3cret": ("redis", AT, "", "", "S3cret"),
    f"redis://{AT}?password=S3%2Bcret": ("redis", AT, "", "", "S3+cret"),
    f"redis://{AT}?password=S3@cret": ("redis", AT, "", "", "S3@cret"),
    f"redis://{AT}/0?username=u&password=S3cret": ("redis", AT, "0", "u", "S3cret"),
    f"rediss://u:S3cret@{AT}": ("rediss", AT, "", "u", "S3cret"),
    f"rediss://{AT}?ssl_password=S3cret": ("rediss", AT, "", "", ""),
    "unix://u:S3cret@/nonexist.sock": ("unix", "/nonexist.sock", "", "u", "S3cret"),
    "unix://u:S3/cret@/nonexist.sock": ("unix", "/nonexist.sock", "", "u", "S3/cret"),
    "unix:///nonexist.sock?password=S3cret": ("unix", "/nonexist.sock", "", "", "S3cret"),
    "unix:///a@b.sock": ("unix", "/a@b.sock", "", "", ""),
    f"REDIS://u:S3cret@{AT}": ("redis", AT, "", "u", "S3cret"),
    f" redis://u:S3cret@{AT}": ("redis", AT, "", "u", "S3cret"),
    f"redis://S3cret@{AT}": ("redis", AT, "", "S3cret", ""),
}
UNREADABLE = [
    f"redis+sentinel://u:S3cret@{AT}/mymaster",
    f"redis+cluster://u:S3cret@{AT}",
    f"http://u:S3cret@{AT}",
    f"u:S3cret@{AT}",
    f"//u:S3cret@{AT}",
    "u:S3cret",
    "S3cret",
    "redis://u:S3cret@127.0.0.1:abc",
    "redis://u:S3cret@127.0.0.1:99999",
    "redis://u:S3cret@[::1",
    "redis://u:S3cret",
    f"redis://{AT}/S3cret",
    f"redis://{AT}#S3cret",
    f"redis://{AT}?S3cret",
    f"redis://{AT}?db=x&password=S3cret",
    f"redis://{AT}?password=S3cret&db=x",
    f"redis://u:S3cret@{AT}?socket_timeout=abc",
    f"redis://u:S3cret@{AT}?health_check_interval=5&foo=1",
    f"redis://u:S3cret@{AT}?foo=S3cret",
    f"redis://{AT}?ssl_password=S3cret",
    f"rediss://u:S3cret@{AT}?socket_timeout=-1",
    f"redis://u:S3cret@{AT}?db=-1",
    "unix://u:S3cret@/x?socket_keepalive=1",
    "unix://S3cret",
    "unix://u:S3cret",
]


@pytest.mark.parametrize("url", READABLE)
def test_an_address_is_read_from_every_form_of_url(url):
    address = read_address(url)
    assert (address.scheme, address.place, address.database, address.username, address.password) == READABLE[url]
    assert read_address(address.url) == address


@pytest.mark.parametrize("url", [*READABLE, *UNREADABLE])
def test_nothing_secret_is_shown(url):
    assert "S3" not in redacted(url)


@pytest.mark.parametrize("url", READABLE)
def test_nothing_secret_is_in_the_text_of_an_address(url):
    address = read_address(url)
    assert "S3" not in f"{address} {address!r} {Server(url).url}"
    assert str(address) == redacted(url)


@pytest.mark.parametrize("url", UNREADABLE)
def test_an_invalid_url_is_refused(url):
    for read in (read_address, Server):
        with pytest.raises(ConfigError, match=r"^redis: .*expected") as refused:
            read(url)
        assert "S3" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_the_parts_of_a_url_that_are_not_secret_are_shown():
    assert redacted("redis://u:S3cret@h:1/2?db=3") == "redis://u:***@h:1/2?db=3"
    assert redacted("rediss://h:1?ssl_password=a&client_name=b") == "rediss://h:1?ssl_password=***&client_name=b"
    assert redacted("redis://user@h:1") == "redis://***@h:1"
    assert redacted("localhost:6379") == "localhost:6379"
    assert redacted("nonsense://x") == "nonsense://***"


def test_an_unknown_option_is_named():
    with pytest.raises(ConfigError, match=r"redis: option 'foo' of the URL, expected one of .*db.*ssl_password"):
        read_address(f"rediss://{AT}?health_check_interval=5&foo=1")


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_cannot_be_read_is_a_configuration_error_at_once(option, tmp_path):
    missing = tmp_path / "ca.pem"
    expected = f"redis: option '{option}' of the URL: {missing}: No such file or directory, expected a file that can be"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        Server(f"rediss://{AT}?{option}={missing}")


@pytest.mark.parametrize("option", ["ssl_cert_reqs=abc", "ssl_min_version=abc"])
def test_an_option_that_the_client_refuses_is_a_configuration_error(option):
    with pytest.raises(
        ConfigError, match=r"^redis: 'rediss://:\*\*\*@h\?.*', expected options that the client accepts$"
    ) as refused:
        Server(f"rediss://:S3cret@h?{option}")
    assert refused.value.__cause__ is None


def test_a_password_in_the_url_is_kept():
    assert read_address(with_password(f"redis://u@{AT}", "p/w @")).password == "p/w @"
    assert read_address(with_password(f"redis://u@{AT}", "p/w @")).username == "u"
    assert read_address(with_password(f"redis://u:own@{AT}", "other")).password == "own"
    assert with_password(f"redis://{AT}", "") == f"redis://{AT}"
