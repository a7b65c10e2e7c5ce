"""The local server for games in other languages: one agent plays for all of them, over the protocol in docs/serve.md.

One event loop, in one thread, handles all connections and computes all actions. The agent's own threads talk to Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...common.errors import ConfigError
from ...common.process.log import Log
from .protocol import MAX_FRAME, InvalidRequest, frame
from .request_batcher import RequestBatcher
from .session import ClientSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.process.shutdown import Stop
    from ..client.agent import Agent
    from .protocol import Reply

_log = Log("serve")

_POLL_S = 0.1
_LINGER_S = 1.0  # time for the client to read the last replies


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """What the server takes from all its clients together."""

    connections: int = 1024  # open at a time
    episodes: int = 4096  # open at a time


_LIMITS = ServeLimits()


def listen(address: str) -> socket.socket:
    """Listen on an address: HOST:PORT, or [HOST]:PORT for IPv6; port 0 chooses a free port.

    Raises:
        ConfigError: if it is not a valid address, not one of this machine, or already in use.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16) or (":" in host and not bracketed):
        raise ConfigError(f"serve: {address!r}, expected HOST:PORT, as 127.0.0.1:7777 or [::1]:7777")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        listener = socket.create_server(place[:2], family=family, backlog=_LIMITS.connections)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"serve: {address}: {error}, expected a free address of this machine") from error
    if not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback:
        _log.warning("there is no password: everybody who reaches this address can play for the run", address=address)
    return listener


def serve(
    agent: Agent,
    listener: socket.socket,
    stop: Stop,
    batcher: RequestBatcher | None = None,
    limits: ServeLimits = _LIMITS,
) -> None:
    """Serve clients until `stop`, then abort their open episodes. The caller must close the agent."""
    asyncio.run(_Service(agent, batcher or RequestBatcher(), limits).run(listener, lambda: stop.requested))


class _Service:
    def __init__(self, agent: Agent, batcher: RequestBatcher, limits: ServeLimits) -> None:
        self._agent, self._batcher, self._limits = agent, batcher, limits
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self, listener: socket.socket, requested: Callable[[], bool]) -> None:
        server = await asyncio.start_server(self._on_connection, sock=listener)
        while not requested():  # noqa: ASYNC110 - a signal handler sets a plain flag
            await asyncio.sleep(_POLL_S)
        self._stopping = True
        server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=2 * _LINGER_S)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._run_session(reader, writer)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._connections.discard(task)

    async def _run_session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(reply: Reply) -> None:
            if not writer.transport.is_closing():
                writer.write(frame(reply))

        session = ClientSession(self._agent, self._batcher, send, self._limits.episodes)
        reason = "the connection was closed"
        try:
            if len(self._connections) > (most := self._limits.connections):
                raise InvalidRequest(f"connections: {most} are open, expected fewer")  # noqa: TRY301
            while (data := await read_frame(reader)) is not None and await session.handle(data):
                await writer.drain()  # if a client stops reading its replies, its requests are no longer read
        except InvalidRequest as error:
            session.send_error(error)
        except OSError as error:
            reason = f"the connection was lost: {error}"
        except asyncio.CancelledError:
            reason = "the server was stopped"
            session.send_error(InvalidRequest(reason))
            raise
        finally:
            self._batcher.run()
            session.close(reason)
            await _close_politely(reader, writer)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message, or None at the end of the stream. Raises InvalidRequest if it is too large or incomplete."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > MAX_FRAME:
            raise InvalidRequest(f"frame: {size} bytes, expected at most {MAX_FRAME}")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        if error.partial or error.expected != 4:
            raise InvalidRequest(f"frame: ended after {len(error.partial)} of {error.expected} bytes") from error
        return None


async def _close_politely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection after the client has read the last reply.

    Closing a socket that has unread input would discard the replies that were sent but not yet read.
    """
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            writer.write_eof()
            while await reader.read(1 << 16):
                pass
    writer.transport.abort()
