"""Serves games in other languages: their actions and their games go through one agent, over a small local protocol.

One event loop plays all games, in the thread that computes their actions; the agent's own threads own Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.process.log import Log
from .protocol import MAX_FRAME, InvalidRequest, frame
from .request_batcher import Batch
from .session import ClientSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.process.shutdown import Stop
    from ..client.agent import Agent
    from .protocol import Reply

_log = Log("serve")

_MAX_CONNECTIONS = 1024
_POLL_S = 0.1
_FAREWELL_S = 1.0  # for the last replies to be read


def listen(address: str) -> socket.socket:
    """Take a place to be found at: HOST:PORT, [HOST]:PORT for IPv6; port 0 is any that is free.

    Raises:
        ConfigError: for what is no address, not one of this machine's, or taken.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16) or (":" in host and not bracketed):
        raise ConfigError(f"serve: {address!r}, expected HOST:PORT, as 127.0.0.1:7777 or [::1]:7777")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        listener = socket.create_server(place[:2], family=family, backlog=_MAX_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"serve: {address}: {error}, expected a free address of this machine") from error
    if not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback:
        _log.warning("anybody who reaches this address can play for the run: there is no password", address=address)
    return listener


def serve(agent: Agent, listener: socket.socket, stop: Stop, batch: Batch | None = None) -> None:
    """Serve clients until the stop; what they have open then is aborted. The agent stays the caller's."""
    asyncio.run(_Service(agent, batch or Batch()).run(listener, lambda: stop.requested))


class _Service:
    def __init__(self, agent: Agent, batch: Batch) -> None:
        self._agent, self._batch = agent, batch
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self, listener: socket.socket, requested: Callable[[], bool]) -> None:
        server = await asyncio.start_server(self._connected, sock=listener)
        while not requested():  # noqa: ASYNC110 - a signal handler sets a plain flag
            await asyncio.sleep(_POLL_S)
        self._stopping = True
        server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=2 * _FAREWELL_S)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._connections.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(reply: Reply) -> None:
            if not writer.transport.is_closing():
                writer.write(frame(reply))

        conversation = ClientSession(self._agent, self._batch, send)
        reason = "the connection was closed"
        try:
            if len(self._connections) > _MAX_CONNECTIONS:
                raise InvalidRequest(f"connections: {_MAX_CONNECTIONS} are open, expected fewer")  # noqa: TRY301
            while (data := await read_frame(reader)) is not None and await conversation.handle(data):
                await writer.drain()  # who does not read its replies is not read either
        except InvalidRequest as refused:
            conversation.refuse(refused)
        except OSError as error:
            reason = f"the connection was lost: {error}"
        except asyncio.CancelledError:
            reason = "the server was stopped"
            conversation.refuse(InvalidRequest(reason))
            raise
        finally:
            self._batch.run_inference()
            conversation.close(reason)
            await _say_goodbye(reader, writer)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message, or None at the end. Raises Refused for one that is too large or not whole."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > MAX_FRAME:
            raise InvalidRequest(f"frame: {size} bytes, expected at most {MAX_FRAME}")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        if error.partial or error.expected != 4:
            raise InvalidRequest(f"frame: ended after {len(error.partial)} of {error.expected} bytes") from error
        return None


async def _say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the last reply be read: a socket closed with something unread in it takes back what it sent."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            writer.write_eof()
            while await reader.read(1 << 16):
                pass
    writer.transport.abort()
