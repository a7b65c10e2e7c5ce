"""The connection to Redis, and the only module that imports the client. It never retries by itself.

It uses redis-py's `Connection` and not its `Redis`, which retries commands by itself: a repeated XADD could add a
trajectory twice. Here a broken connection always raises an error, and the caller decides what can be sent again.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import BroodmindError, ConfigError, RedisDenied, RedisUnreachable
from .address import check_files, read_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Argument = bytes | str | int | float
Reply = Any  # bytes, int, None, or a list of replies

# Long enough for a server that is busy with a blob of 100 MB. Blocking commands must block for a shorter time.
TIMEOUT_S = 5.0
# The rate of the slowest link that is supported. A server replies once it has the whole command, so the reply to a
# large one is waited for that much longer. Of a large reply, only each part must arrive within the timeout.
LINK_BYTES_PER_S = 32 << 10
_SENT_LITTLE = 1 << 15  # bytes that make no difference
# The size of one read is that of a socket buffer. redis-py's 32 KB would need four times as many system calls.
READ_BYTES = 1 << 17
# Arguments of this size, such as weights, are sent without a copy; redis-py would copy them twice. Smaller ones are
# copied once, into a common buffer, because a system call for each would cost more.
LARGE_BYTES = 1 << 17
_SIZES = [b"$%d\r\n" % size for size in range(64)]  # of most arguments: formatting takes longer than looking up
# The codes of replies that refuse access, and what the server expected instead.
_DENIED = {
    "NOAUTH": "a password: in the URL, in BROODMIND_REDIS_PASSWORD, or in the file of redis_password_file",
    "WRONGPASS": "the name and the password of a user of this server",
    "NOPERM": "a user with the rights of its role; `broodmind acl` prints these rights",
    "DENIED": "a server that accepts connections from this machine",
}
_TRUSTED = (
    "a certificate for this host from an authority that this machine trusts, or that is in a file named by the URL: "
    "rediss://HOST:PORT?ssl_ca_certs=FILE"
)
# Codes of a server that cannot take writes for a while: it became a replica in a failover, has lost its replicas, has a
# full disk, or runs a long script. The caller waits and tries again on a new connection, perhaps to another server.
_NOT_NOW = {"READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "BUSY", "CLUSTERDOWN", "TRYAGAIN"}


class ReplyError(BroodmindError):
    """The server answered a command with an error; `code` is its first word (NOGROUP, BUSYGROUP, OOM, ...)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


class ServerFull(ReplyError):
    """The server is at its memory limit and refuses commands that need more memory."""


class NotNow(RedisUnreachable):
    """The server refuses a command because of its present state. It may accept the same command later."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, called by its SHA-1."""

    source: str

    @property
    def sha(self) -> str:
        """The SHA-1 of the source, for EVALSHA."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Server:
    """One connection to a Redis or Valkey server, opened at the first call and again after a failure.

    Not for use by two threads at once: each thread opens its own.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        address = read_address(url)
        self.url = str(address)  # for messages: without the password
        check_files(address)
        self._reply_options: dict[str, float] = {}
        # Only a network may be slow, and each part is a system call and wakes the server: for 3 MB that took 1.3 ms.
        self._in_parts = address.scheme != "unix"
        try:
            pool = redis.ConnectionPool.from_url(
                address.url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                socket_read_size=READ_BYTES,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,  # no CLIENT SETINFO: Redis 7.0 does not know it, and actors may not use it
            )
            self._connection = pool.make_connection()
            self._timeout_s = float(pool.connection_kwargs["socket_timeout"])  # the URL may have another one
        except (ValueError, TypeError, redis.RedisError):
            # `from None`, because the client's message may contain a part of the URL.
            raise ConfigError(f"redis: {self.url!r}, expected options that the client accepts") from None

    def call(self, *command: Argument) -> Reply:
        """Send one command and return its reply, strings as bytes."""
        return self.pipeline([command])[0]

    def pipeline(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Send commands in one round trip, without MULTI; raise the first error after reading all replies."""
        replies = self.replies(commands)
        for reply in replies:
            if isinstance(reply, BroodmindError):
                raise reply
        return replies

    def replies(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Like `pipeline`, but the error of a command is returned in the place of its reply.

        After a NotNow the connection is closed, because the next one may lead to another server.
        """
        if not commands:
            return []
        with self._translated():
            self._send(commands)
            return self._read(len(commands))

    def send(self, commands: Sequence[Sequence[Argument]]) -> None:
        """Send commands without waiting for replies. Call `receive` before any other command is sent."""
        with self._translated():
            self._send(commands)

    def receive(self, count: int) -> list[Reply]:
        """Read the replies to `send`, in the form of `replies`. `count` is the number of commands that were sent."""
        with self._translated():
            return self._read(count)

    def script(self, script: Script, keys: Sequence[str], *args: Argument) -> Reply:
        """Run a script by its SHA-1, or by its source if the server does not know it yet."""
        try:
            return self.call("EVALSHA", script.sha, len(keys), *keys, *args)
        except ReplyError as error:
            if error.code != "NOSCRIPT":
                raise
        return self.call("EVAL", script.source, len(keys), *keys, *args)

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        self._connection.disconnect()

    def _send(self, commands: Sequence[Sequence[Argument]]) -> None:
        pieces = pack_commands(commands)
        self._connection.send_packed_command(in_parts(pieces) if self._in_parts else pieces)
        sent = sum(map(len, pieces))
        # With the usual timeout the client does not set it anew for each reply, which would be a system call.
        self._reply_options = {} if sent <= _SENT_LITTLE else {"timeout": self._timeout_s + sent / LINK_BYTES_PER_S}

    def _read(self, count: int) -> list[Reply]:
        replies = [self._reply() for _ in range(count)]
        if any(isinstance(reply, NotNow) for reply in replies):
            self.close()
        return replies

    def _reply(self) -> Reply:
        try:
            reply = self._connection.read_response(disable_decoding=True, **self._reply_options)
        except redis.ResponseError as error:
            return _answered(self.url, error)
        if isinstance(reply, list):  # of a transaction: each of its replies may be an error
            return [_answered(self.url, each) if isinstance(each, redis.ResponseError) else each for each in reply]
        return reply

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate redis-py's errors into ours. After any error the connection is closed, as it may be half read."""
        try:
            yield
        except (redis.AuthenticationError, redis.ResponseError) as error:  # while connecting: AUTH, SELECT
            self.close()
            raise _error(self.url, error) from error
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self.close()
            expected = _TRUSTED if "CERTIFICATE_VERIFY_FAILED" in str(error) else "a running server"
            raise RedisUnreachable(f"redis at {self.url}: {_stripped(error)}, expected {expected}") from error
        except BaseException:
            self.close()
            raise


def pack_commands(commands: Sequence[Sequence[Argument]]) -> list[bytes]:
    """Encode commands for the wire in one buffer, except large arguments, which are not copied."""
    pieces: list[bytes] = []
    small: list[bytes] = []
    for command in commands:
        small.append(b"*%d\r\n" % len(command))
        for part in command:
            raw = part if isinstance(part, bytes) else str(part).encode()
            size = len(raw)
            small.append(_SIZES[size] if size < len(_SIZES) else b"$%d\r\n" % size)
            if size >= LARGE_BYTES:
                pieces += [b"".join(small), raw]
                small = [b"\r\n"]
            else:
                small += [raw, b"\r\n"]
    return [*pieces, b"".join(small)]


def in_parts(pieces: Sequence[bytes]) -> list[bytes | memoryview]:
    """The same bytes in parts of at most LARGE_BYTES: the timeout holds for sending one part."""
    parts: list[bytes | memoryview] = []
    for buffer in pieces:
        if len(buffer) <= LARGE_BYTES:
            parts.append(buffer)
        else:
            view = memoryview(buffer)
            parts += [view[start : start + LARGE_BYTES] for start in range(0, len(buffer), LARGE_BYTES)]
    return parts


def _answered(url: str, error: redis.ResponseError) -> BroodmindError:
    """Translate the error reply to a command."""
    answer = _error(url, error)
    if isinstance(answer, ReplyError) and answer.code in _NOT_NOW:
        return NotNow(f"redis at {url}: {_stripped(answer)}, expected a server that accepts writes")
    return answer


def _error(url: str, error: redis.RedisError) -> BroodmindError:
    """Translate an error reply. redis-py removes the code from the text, and has it in `status_code`."""
    code = getattr(error, "status_code", None)
    text = f"{code} {error}" if code and not str(error).startswith(code) else str(error)
    expected = _DENIED.get(text.partition(" ")[0])
    if expected is None and isinstance(error, redis.AuthenticationError):
        expected = "a user and password that this server accepts, or none if it has no passwords"
    if expected is not None:
        return RedisDenied(f"redis at {url}: {_stripped(text)}, expected {expected}")
    return ServerFull(text) if text.startswith("OOM") else ReplyError(text)


def _stripped(text: object) -> str:
    """The text of an error without its last punctuation mark, because our message goes on with a comma."""
    return str(text).rstrip(".?! ")


def parse_id(raw: bytes | str) -> tuple[int, int]:
    """A stream id as two integers, for comparison: as strings, 9-0 would be larger than 10-0."""
    left, _, right = (raw.decode() if isinstance(raw, bytes) else raw).partition("-")
    return int(left), int(right)


def format_id(entry_id: tuple[int, int]) -> str:
    """The inverse of `parse_id`."""
    return f"{entry_id[0]}-{entry_id[1]}"
