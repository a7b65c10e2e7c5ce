"""A TCP proxy between a client and a server that loses commands and replies, as a test requires."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Self

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable

Fault = Literal["lose the command", "lose the reply"]
_CHUNK = 1 << 16


class Proxy:
    """A context manager that listens on a port of its own and forwards to the port `target`.

    `rule` is called with each command, a list of bytes, before it is forwarded, and returns a fault or None:

    - "lose the command": the connection is closed, and the server does not receive the whole command.
    - "lose the reply": the server executes the command and all others sent with it; then the connection is closed.

    `rewrite` changes what the server replies, piece by piece as it comes, without changing its length. `target` may be
    changed, for connections to come; with `refusing`, there will be none. A `raw` proxy does not look
    at what it forwards: for a replica's link, which does not speak in commands and replies. A context manager.
    """

    def __init__(self, target: int, rule: Callable[[list[bytes]], Fault | None] | None = None, *, raw: bool = False):
        self.target, self.rule, self.refusing = target, rule, False
        self.rewrite: Callable[[bytes], bytes] | None = None
        self.faults = 0  # that came to pass
        self._raw = raw
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """Close all current connections."""
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections and accept no new ones."""
        self.refusing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError), client:  # either side may end at any time
                if self.refusing:
                    return
                with socket.create_connection(("127.0.0.1", self.target)) as server:
                    for end in (client, server):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._forward(client, server)
        finally:
            with self._lock:
                self._clients.discard(client)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        commands, replies = hiredis.Reader(), hiredis.Reader()
        owed = 0  # replies that the server has not sent yet
        losing = False  # whether the server's replies are discarded from now on
        while True:
            readable, _, _ = select.select([client, server], [], [])
            if client in readable:
                data = client.recv(_CHUNK)
                seen = self._parse(commands, data)
                owed += len(seen)
                fault = self._fault(seen)
                if not data or fault == "lose the command":
                    return
                losing = losing or fault == "lose the reply"
                server.sendall(data)
            if server in readable:
                data = server.recv(_CHUNK)
                if not data:
                    return
                owed -= len(self._parse(replies, data))
                if not losing:
                    client.sendall(self.rewrite(data) if self.rewrite else data)
                elif owed == 0:
                    self._count()
                    return

    def _parse(self, reader: hiredis.Reader, data: bytes) -> list[object]:
        """The commands or replies that are complete with `data`."""
        if self._raw:
            return []
        reader.feed(data)
        found = []
        while (message := reader.gets()) is not False:
            found.append(message)
        return found

    def _fault(self, commands: list[list[bytes]]) -> Fault | None:
        rule = self.rule
        if rule is None:
            return None
        with self._lock:  # one at a time, so that a rule can count commands
            faults = [fault for command in commands if (fault := rule(command))]
        if faults and faults[0] == "lose the command":
            self._count()
        return faults[0] if faults else None

    def _count(self) -> None:
        with self._lock:
            self.faults += 1
