"""A slow or bad link between a client and a server: latency, bandwidth, loss, outages, and TLS on the client's side.

TCP loses no bytes. What a lossy link does to it is modelled as what a connection sees of it: a segment that was lost
comes after a retransmission timeout, with all that follows it; and `cut` breaks connections.
"""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

_SEGMENT = 1448  # bytes, of Ethernet's TCP segments
_BUFFERED = 1 << 16  # bytes that wait on the way, of each connection


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a link is like, in each direction."""

    delay_s: float = 0.0  # one way
    bytes_per_s: float = 0.0  # of all connections together; 0: any number
    loss: float = 0.0  # share of the segments that come only after a retransmission
    retransmit_s: float = 0.3  # after which time, doubled for each segment that is lost again


class _Direction:
    """One direction: what all its connections share."""

    def __init__(self, conditions: Conditions, rng: random.Random) -> None:
        self.conditions, self._rng = conditions, rng
        self._free_s = 0.0  # when the line has sent what it took

    async def send(self, size: int) -> float:
        """Wait until a segment is on its way. Returns when it arrives."""
        conditions, now_s = self.conditions, asyncio.get_running_loop().time()
        if conditions.bytes_per_s:
            self._free_s = max(self._free_s, now_s) + size / conditions.bytes_per_s
            await asyncio.sleep(self._free_s - now_s)
            now_s = self._free_s
        late_s, again_s = conditions.delay_s, conditions.retransmit_s
        while self._rng.random() < conditions.loss:
            late_s, again_s = late_s + again_s, 2 * again_s
        return now_s + late_s


class Link:
    """A context manager that listens on a port of its own and forwards to the port `target`.

    While it is `down`, nothing goes through and no connection is closed: both sides hear nothing. What was sent
    before goes on afterwards, also of a connection that its sender has given up meanwhile, as TCP does.
    """

    def __init__(
        self,
        target: int,
        conditions: Conditions | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.target = target
        self._tls, rng = tls, rng or random.Random()
        self._ways = tuple(_Direction(conditions or Conditions(), rng) for _ in range(2))
        self.connections = 0  # so far
        self._ends: set[asyncio.Transport] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), name="link", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Of the server, over this link."""
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}"

    @property
    def down(self) -> bool:
        """Whether nothing goes through."""
        return not self._up.is_set()

    @down.setter
    def down(self, down: bool) -> None:
        self._loop.call_soon_threadsafe(self._up.clear if down else self._up.set)

    def cut(self) -> None:
        """Break all connections: what is on its way is lost."""
        self._loop.call_soon_threadsafe(self._abort, self._ends)

    def _abort(self, ends: Iterable[asyncio.Transport]) -> None:
        for end in ends:
            end.abort()

    async def _run(self) -> None:
        self._loop, self._up, self._closed = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._up.set()
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=_BUFFERED)
        self.port: int = listener.sockets[0].getsockname()[1]
        self._started.set()
        await self._closed.wait()
        listener.close()
        self._abort(self._ends)
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        ends = {writer.transport}
        self._ends |= ends
        try:
            await self._up.wait()
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target, limit=_BUFFERED)
            ends.add(to_server.transport)
            self._ends |= ends
            there, back = self._ways
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, to_server, there))
                group.create_task(self._forward(from_server, writer, back))
        except* OSError:  # broken, or an end has closed it
            pass
        finally:
            self._abort(ends)  # what was forwarded to an end before has been written
            self._ends -= ends

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Direction) -> None:
        """Forward one direction of a connection, to its end."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deliver(under_way, writer))
            while data := await reader.read(_SEGMENT):
                await self._up.wait()
                under_way.put_nowait((await way.send(len(data)), data))
            under_way.put_nowait((0.0, b""))

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        due_s = 0.0
        while True:
            arrives_s, data = await under_way.get()
            due_s = max(due_s, arrives_s)  # in order: what follows a lost segment waits for it
            await asyncio.sleep(max(due_s - self._loop.time(), 0))
            await self._up.wait()
            if not data:
                await writer.drain()
                writer.close()  # both ways: nobody here reads on after it has closed
                return
            writer.write(data)
            await writer.drain()
