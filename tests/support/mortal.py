"""A learner in a process of its own that kills itself, with SIGKILL, at a given step of its n-th commit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from support.learners import CONFIG
from support.runs import SPEC
from support.servers import PATIENCE_S

from broodmind.common.process.shutdown import Stop
from broodmind.common.server.streams import Server
from broodmind.learner.commit import commit
from broodmind.learner.commit.commit_thread import CommitThread
from broodmind.learner.config import CheckpointConfig
from broodmind.learner.loop import learn
from broodmind.learner.persistence import checkpoints
from broodmind.learner.run.run_state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_COMMIT_S = 0.0
# Forks of a process that has imported everything: hundreds of learners cost little.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["broodmind.learner.loop", "broodmind.actors.transport.blocking_connection"])


def die() -> None:
    """No handler, no flush, no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_instead_of(owner: object, name: str) -> None:
    """Die where `name` is called."""
    setattr(owner, name, lambda *_args, **_options: die())


def die_after(owner: object, name: str, *, under_way: bool = False) -> None:
    """Die when `name` has returned; for a commit_thread, if it had a commit under way."""
    whole = getattr(owner, name)

    def dying(*args, **options):
        counts = not under_way or args[0].busy
        whole(*args, **options)
        if counts:
            die()

    setattr(owner, name, dying)


def die_in(matches: Callable[[list], bool], act: Callable[[Server, list], object]) -> None:
    """Die in an exchange with the server, after `act`, which begins on an open connection."""
    whole = Server.replies

    def dying(server: Server, commands: list):
        if matches(commands):
            server.send([("PING",)])
            server.receive(1)
            act(server, commands)
            die()
        return whole(server, commands)

    Server.replies = dying


def staging(commands: list) -> bool:
    return bool(commands) and ":staged:" in str(commands[0])


def committing(commands: list) -> bool:
    return bool(commands) and commands[0][0] == "EVALSHA" and commands[0][1] == commit.COMMIT_SCRIPT.sha


def send_half(server: Server, commands: list) -> None:
    """Send the first half of the commands and die; the sockets of other threads go on until then."""
    whole, thread = socket.socket.sendall, threading.get_ident()

    def half(connection: socket.socket, data: bytes, *flags: int) -> None:
        mine = threading.get_ident() == thread
        whole(connection, data[: len(data) // 2] if mine else data, *flags)
        if mine:
            die()

    socket.socket.sendall = half
    server.send(commands)


def exchange(server: Server, commands: list) -> None:
    server.send(commands)
    server.receive(len(commands))


def half_written(path, data):
    path.with_name(f".{path.name}.{os.getpid()}.part").write_bytes(data[: len(data) // 2])
    die()


# Each step, and whether the commit has then gone through; None where it is on its way from another thread.
STEPS: dict[str, tuple[bool | None, Callable[[], None]]] = {
    "before training": (False, lambda: die_instead_of(RunState, "train")),
    "before staging": (False, lambda: die_in(staging, lambda *_: None)),
    "in the middle of the first blob": (False, lambda: die_in(staging, send_half)),
    "after the first blob": (False, lambda: die_in(staging, lambda server, commands: exchange(server, commands[:1]))),
    "after both blobs": (False, lambda: die_in(staging, exchange)),
    "in the middle of the call": (False, lambda: die_in(committing, send_half)),
    "before the reply": (True, lambda: die_in(committing, Server.send)),
    "after the reply": (True, lambda: die_in(committing, exchange)),
    "after its bookkeeping": (True, lambda: die_after(CommitThread, "settle", under_way=True)),
    "before the checkpoint": (None, lambda: die_instead_of(checkpoints.Checkpoints, "save")),
    "in the middle of the checkpoint": (None, lambda: setattr(checkpoints, "write_durably", half_written)),
    "before the checkpoint is on disk": (None, lambda: die_instead_of(os, "fsync")),
    "before the checkpoint has its name": (None, lambda: die_instead_of(Path, "replace")),
    "after the checkpoint": (None, lambda: die_after(checkpoints.Checkpoints, "save")),
}


def _learn(url: str, run: str, checkpoints: str, step: str) -> None:
    config = replace(CONFIG, checkpointing=CheckpointConfig(Path(checkpoints), EVERY_COMMIT_S))
    _, install = STEPS[step]
    install()
    learn(url, run, SPEC, config, Stop())


def learn_until_death(url: str, run: str, checkpoints: str, step: str, timeout_s: float = PATIENCE_S) -> int | None:
    """Run a learner that is to die at `step` of its first commit; its exit code, or None if it is still alive."""
    process = _processes.Process(target=_learn, args=(url, run, checkpoints, step), daemon=True)
    process.start()
    process.join(timeout_s)
    code = process.exitcode
    process.kill()
    process.join()
    return code
