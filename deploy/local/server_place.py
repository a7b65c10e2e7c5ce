"""Where bots reach the embedded server: a socket of the run's name, which stays the same, and a TCP port on request."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import secrets
import socket
import time
from dataclasses import dataclass, field
from stat import S_ISDIR
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.server.address import PASSWORD_VARIABLE, read_address
from ...common.server.local_socket import local_socket
from ..config.effective import server_url

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.given import Given

_WAIT_S = 5.0  # for the server of an earlier start to end
_POLL_S = 0.05
PASSWORD_FILE = "redis-password"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """The place of a run's server. Its lock is held by the one process that has the place."""

    socket: Path
    lock: int  # a file descriptor
    host: str = ""  # to listen at; empty: no TCP
    port: int = 0
    password: str = field(default="", repr=False)
    password_file: Path | None = None

    def connect_line(self, run: str) -> str:
        """The line with which a bot joins the run. It shows no secret."""
        if not self.host:
            return f'connect("unix://{self.socket}", run="{run}")'
        name = socket.gethostname() if _is_any(self.host) else self.host
        line = f'connect("redis://{f"[{name}]" if ":" in name else name}:{self.port}", run="{run}")'
        if not self.password:
            return line
        where = f"the first line of {self.password_file}" if self.password_file else "the password that was given"
        return f"{line}   with {PASSWORD_VARIABLE} set to {where}"


def take_place(run: str, listen: str | None, password: str, folder: Path, wait_s: float = _WAIT_S) -> ServerPlace:
    """Take the place of the run's server on this machine.

    Args:
        run: the run's name.
        listen: HOST:PORT; None: a socket alone, for this user's processes.
        password: the server's; empty: none, or a random one where others than this machine can reach it.
        folder: the run's, where a random password is kept for the next start.
        wait_s: how long the server of an earlier start may take to end.

    Raises:
        ConfigError: if the run has a server on this machine already, or the address cannot be used.
    """
    host, port = _address(listen) if listen is not None else ("", 0)
    path = local_socket(run)
    _make_private(path.parent)
    file = None
    if host and not password and not _is_loopback(host):
        file = folder / PASSWORD_FILE
        password = _kept_password(file)
    return ServerPlace(path, _lock(path.with_name(f"{run}.lock"), run, wait_s), host, port, password, file)


def given_password(given: Given) -> str:
    """The password that was set for the server, if any."""
    return read_address(server_url(given)).password


def _address(listen: str) -> tuple[str, int]:
    """Host and port; a free one for port 0. Raises ConfigError unless they are a free address of this machine."""
    host, colon, port = listen.rpartition(":")
    bare = host.strip("[]")
    if not (colon and bare and port.isdecimal() and int(port) < 1 << 16) or (":" in bare) != host.startswith("["):
        raise ConfigError(f"listen: {listen!r}, expected HOST:PORT, as 127.0.0.1:6379 or 0.0.0.0:6379")
    try:
        found = socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        with socket.create_server(place[:2], family=family) as probe:
            address = probe.getsockname()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"listen: {listen!r}, expected a free address of this machine ({error})") from error
    return str(address[0]), int(address[1])


def _make_private(folder: Path) -> None:
    """Make the folder of this user's sockets, which nobody else can enter. Raises ConfigError if somebody else can."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"client: {str(folder)!r}, expected a folder that can be made ({error.strerror})") from error
    found = folder.lstat()
    if not S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"client: {folder} can be used by others, expected a folder of this user alone")


def _lock(path: Path, run: str, wait_s: float) -> int:
    """Lock a file, until all processes that have its descriptor have ended. Raises ConfigError if others have it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise ConfigError(
                    f"run: {run!r} has a server on this machine already, expected a run without one; choose another "
                    "--run"
                ) from None
            time.sleep(_POLL_S)
        else:
            return lock


def _kept_password(file: Path) -> str:
    """The password in a file, which is written with a random one unless it is there."""
    if file.exists():
        return file.read_text(encoding="utf-8").splitlines()[0]
    password = secrets.token_urlsafe(24)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(f"{password}\n")
    return password


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _is_any(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_unspecified
