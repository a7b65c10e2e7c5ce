"""A process that has imported everything and forks on request: a restart takes a fork, not half a second of imports.

Its children are real processes that a test can kill and stop by their ids. When its standard input ends, it kills them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.paths import TESTS
from support.roles import ROLES
from support.servers import PATIENCE_S, wait_until

from broodmind.common.errors import BroodmindError
from broodmind.common.process.log import log_to_stderr

if TYPE_CHECKING:
    from pathlib import Path

CRASHED = 70  # the exit code of a child that ended with an error other than BroodmindError


@dataclass(slots=True)
class Child:
    """One process. `code` is None while it runs, and negative if a signal ended it."""

    role: str
    pid: int = 0
    code: int | None = None

    def signal(self, number: int) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        wait_until(lambda: self.code is not None, lambda: f"{self.role} {self.pid} to end", timeout_s, 0.002)
        assert self.code is not None
        return self.code


class Nursery:
    """The parent's side: starts children, and receives their exit codes."""

    def __init__(self, log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                start_new_session=True,
            )
        self._children: dict[int, Child] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, role: str, **arguments: object) -> Child:
        child = Child(role)
        number = len(self._children)
        self._children[number] = child
        line = json.dumps({"number": number, "role": role, "arguments": arguments})
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        wait_until(lambda: child.pid, lambda: f"a {role} to start", poll_s=0.001)
        return child

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        self._process.stdout.close()

    def _listen(self) -> None:
        for line in self._process.stdout:
            said = json.loads(line)
            child = self._children[said["number"]]
            child.pid = said.get("pid", child.pid)
            child.code = said.get("code", child.code)


def main() -> None:
    children: dict[int, int] = {}  # process id to number
    unread = b""
    try:
        while True:
            if select.select([0], [], [], 0.005)[0]:
                said = os.read(0, 1 << 16)
                if not said:
                    return
                *lines, unread = (unread + said).split(b"\n")
                for line in lines:
                    order = json.loads(line)
                    pid = os.fork() or run(order["role"], order["arguments"])
                    children[pid] = order["number"]
                    say(number=order["number"], pid=pid)
            while children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                say(number=children.pop(pid), code=os.waitstatus_to_exitcode(status))
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def say(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def run(role: str, arguments: dict) -> int:
    """Run a role in the forked child. Never returns."""
    code = CRASHED
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        ROLES[role](**arguments)
        code = 0
    except BroodmindError as error:
        print(f"{role} {os.getpid()} ended: {type(error).__name__}: {error}", file=sys.stderr)
        code = error.exit_code
    except BaseException:  # noqa: BLE001 - printed, and reported by the exit code
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    log_to_stderr(20)
    main()
