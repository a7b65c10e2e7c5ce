"""Clients of `broodmind actors --serve`: one in Python for the tests, and one in C, which is compiled."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgpack
from support.servers import PATIENCE_S

from broodmind.actors.serve.server import listen, serve
from broodmind.common.process.shutdown import Stop

CORRIDOR = Path(__file__).with_name("corridor.c")


def compiled(folder: Path) -> str:
    """Compile the client in C, and return its path. A missing compiler is an error, never a reason to skip."""
    compiler = shutil.which("cc") or shutil.which("tcc")
    if compiler is None:
        raise RuntimeError("cc or tcc: not found, expected a C compiler; `make test` installs one")
    program = folder / "corridor"
    subprocess.run([compiler, "-Wall", "-o", program, CORRIDOR], check=True)
    return str(program)


def framed(message: object) -> bytes:
    packed = msgpack.packb(message)
    return len(packed).to_bytes(4, "big") + packed


class Client:
    """Sends requests without checking them, and reads replies."""

    def __init__(self, reader, writer):
        self._reader, self.writer = reader, writer

    def send(self, kind, **fields):
        self.writer.write(framed({"type": kind, **fields}))

    async def reply(self):
        """The next reply; None at the end of the connection."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                size = int.from_bytes(await self._reader.readexactly(4), "big")
                return msgpack.unpackb(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def ask(self, kind, **fields):
        self.send(kind, **fields)
        return await self.reply()

    async def play(self, number, steps=4, episode_id=0):
        """Play one game whose observations contain its number and the step. Returns the reply to its end."""
        assert (await self.ask("episode", id=episode_id, labels={"number": number}))["type"] == "episode"
        for step in range(steps):
            reply = await self.ask("act", id=episode_id, observation=[number, step, 0])
            assert reply["type"] == "act", reply
            self.send("reward", id=episode_id, value=1)
        return await self.ask("end", id=episode_id, outcome="win")


@asynccontextmanager
async def client(port, *, hello=True, host="127.0.0.1", **fields):
    reader, writer = await asyncio.open_connection(host, port)
    it = Client(reader, writer)
    try:
        if hello:
            reply = await it.ask("hello", protocol=1, **{"wait_s": PATIENCE_S, **fields})
            assert reply["type"] == "hello", reply
        yield it
    finally:
        writer.transport.abort()


@contextmanager
def served(agent, batch=None, **options):
    """A server in a thread of its own; gives its port. The options are those of `serve`."""
    stop, listener = Stop(), listen("127.0.0.1:0")
    thread = threading.Thread(target=serve, args=(agent, listener, stop, batch), kwargs=options, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.request()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def example(text: str) -> list[tuple[str, bytes, dict]]:
    """The example messages in a document: the direction, the bytes, and the decoded message."""
    found = re.findall(r"^([<>]) ((?:[0-9a-f]{2}\s+)+)(\{.*\})$", text, re.MULTILINE)
    return [(way, bytes.fromhex(hexadecimal), json.loads(meaning)) for way, hexadecimal, meaning in found]
