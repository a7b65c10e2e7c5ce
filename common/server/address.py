"""Redis URLs: parses all forms that users type, and hides secrets in messages.

A password may contain `/ # ? [ @ :` without percent-encoding. A text that does not parse as a URL is parsed again with
everything up to the last `@` as user and password. If it does not parse then either, messages show only its scheme,
because any other part may be a password.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote, unquote_plus, urlencode

from ..errors import ConfigError

_FORM = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// for TLS, or unix://[USER:PASSWORD@]/PATH"
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:@/?#]*)(?::(?P<port>\d{0,5}))?")
_NUMBERS = {"db": int, "socket_timeout": float, "socket_connect_timeout": float, "health_check_interval": int}
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_SHOWN = {"ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ca_certs"}
_TLS = {*_TLS_SHOWN, *_TLS_FILES, "ssl_ca_data", "ssl_ca_path", "ssl_ciphers"}
_SHOWN = {*_NUMBERS, *_TLS_SHOWN, "client_name", "socket_keepalive"}
_ANYWHERE = {*_NUMBERS, "client_name", "username", "password"}
_OPTIONS = {  # accepted by the client, by scheme
    "redis": {*_ANYWHERE, "socket_keepalive"},
    "rediss": {*_ANYWHERE, "socket_keepalive", *_TLS, "ssl_password"},
    "unix": _ANYWHERE,
}
# The environment variable of the setting `redis_password`; `connect` reads it without the settings.
PASSWORD_VARIABLE = "BROODMIND_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
HIDDEN = "***"


class _Unreadable(ValueError):
    """A part of a URL is not valid. The message does not contain that part, because it may be secret."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server's address, user and password. `str()` is for messages and has no secret, `url` is for connecting."""

    scheme: str
    place: str  # host and port, or the path of a socket
    database: str = ""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def url(self) -> str:
        """The whole URL, with its secrets, in the form that redis-py reads."""
        return self._text(
            quote(self.username, safe=""), quote(self.password, safe=""), urlencode(self.options, quote_via=quote)
        )

    def __str__(self) -> str:
        options = "&".join(f"{name}={value if name in _SHOWN else HIDDEN}" for name, value in self.options)
        # A user without a password may be a password that was typed without the colon before it.
        user = self.username if self.password else HIDDEN if self.username else ""
        return self._text(user, HIDDEN if self.password else "", options)

    def _text(self, username: str, password: str, options: str) -> str:
        user = f"{username}{f':{password}' if password else ''}@" if username or password else ""
        database = f"/{self.database}" if self.database else ""
        return f"{self.scheme}://{user}{self.place}{database}{f'?{options}' if options else ''}"


def read_address(url: str) -> ServerAddress:
    """Parse a URL.

    Raises:
        ConfigError: if it does not parse, or has an unknown option. The message shows no secret.
    """
    scheme, separator, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in {"redis", "rediss", "unix"}:
        raise ConfigError(f"redis: {redacted(url)!r}, expected {_FORM}")
    try:
        return _read(scheme, rest)
    except _Unreadable as error:
        raise ConfigError(f"redis: '{scheme}://{HIDDEN}', expected {_FORM} ({error})") from None


def check_files(address: ServerAddress) -> None:
    """Check that the files for TLS can be read. Raises ConfigError: it is no fault of the server or the network."""
    for name, value in address.options:
        if name in _TLS_FILES:
            try:
                Path(value).open("rb").close()
            except OSError as error:
                raise ConfigError(
                    f"redis: option {name!r} of the URL: {value}: {error.strerror}, expected a file that can be read"
                ) from error


def redacted(url: str) -> str:
    """The URL without its secrets, for messages. If it does not parse, only its scheme is shown."""
    scheme, separator, rest = url.strip().partition("://")
    if separator and scheme.lower() in {"redis", "rediss", "unix"}:
        try:
            return str(_read(scheme.lower(), rest))
        except (_Unreadable, ConfigError):
            return f"{scheme.lower()}://{HIDDEN}"
    if re.fullmatch(r"(localhost|[\w-]+(\.[\w-]+)+)(:\d+)?", url.strip()):  # host and port without a scheme
        return url.strip()
    return f"{scheme}://{HIDDEN}" if separator and re.fullmatch(r"[A-Za-z][\w+.-]*", scheme) else HIDDEN


def with_password(url: str, password: str) -> str:
    """The URL, with this password if it has none of its own."""
    address = read_address(url)
    return replace(address, password=address.password or password).url


def _read(scheme: str, text: str) -> ServerAddress:
    try:
        return _read_as_url(scheme, text)
    except (_Unreadable, ConfigError):
        if "@" not in text:
            raise
        user, _, place = text.rpartition("@")
        try:
            return _read_parts(scheme, user, place)
        except _Unreadable:
            pass
        raise


def _read_as_url(scheme: str, text: str) -> ServerAddress:
    end = next((index for index, letter in enumerate(text) if letter in "/?#"), len(text))
    user, at, place = text[:end].rpartition("@")
    return _read_parts(scheme, user if at else None, place + text[end:])


def _read_parts(scheme: str, user: str | None, rest: str) -> ServerAddress:
    where, question, query = rest.partition("?")
    if "#" in rest:
        raise _Unreadable("outside the password, # must be written %23")
    if scheme == "unix":
        place, database = _socket(where), ""
    else:
        place, database = _host(where)
    options = _options(scheme, query) if question else {}
    name, _, password = (user or "").partition(":")
    return ServerAddress(
        scheme,
        place,
        database,
        options.pop("username", "") if not name else unquote(name),
        options.pop("password", "") if not password else unquote(password),
        tuple(options.items()),
    )


def _socket(text: str) -> str:
    if not text.startswith("/"):
        raise _Unreadable("the path of a socket must begin with /")
    return text


def _host(text: str) -> tuple[str, str]:
    """Host with port, and database."""
    place, _, database = text.partition("/")
    match = _PLACE.fullmatch(place)
    if match is None or int(match["port"] or 0) > 65535:
        raise _Unreadable("HOST must be a name or an address, IPv6 in brackets, and PORT a number up to 65535")
    if database and not database.isdecimal():
        raise _Unreadable("DATABASE must be a number")
    return place, database


def _options(scheme: str, query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if not equals:
            raise _Unreadable("options must be NAME=VALUE, separated by &")
        if name not in _OPTIONS[scheme]:
            allowed = ", ".join(sorted(_OPTIONS[scheme]))
            raise ConfigError(f"redis: option {name!r} of the URL, expected one of {allowed} with {scheme}://")
        found[name] = unquote_plus(value)
        if name in _NUMBERS and not _is_number(_NUMBERS[name], found[name]):
            raise ConfigError(f"redis: option {name!r} of the URL, expected a number of at least 0")
    return found


def _is_number(kind: type[int | float], text: str) -> bool:
    try:
        return 0 <= kind(text) < math.inf
    except ValueError:
        return False
