"""A server in memory that accepts or refuses an actor's entries, and loses requests and replies, as a test requires."""

from __future__ import annotations

from dataclasses import dataclass, field

from broodmind.common.errors import RedisUnreachable
from broodmind.common.process.clock import now_ms
from broodmind.common.server.streams import NotNow, ReplyError, ServerFull, parse_id


class Killed(Exception):
    """The process that sends is killed at this point."""


@dataclass
class FakeStreams:
    """Replaces `Server` in an `ActorConnection`. It knows only the commands that an `ActorConnection` sends."""

    now_s: float = 0.0
    incarnation: bytes | None = None  # what the actor's key for it holds
    spec: str | None = None
    latest: str | None = None
    demand: str | None = None
    entries: dict[tuple[int, int], tuple[float, bytes]] = field(default_factory=dict)  # id to time and payload
    overflows: dict[tuple[int, int], int] = field(default_factory=dict)  # id to the games given up, as the entry tells
    commands: list[tuple] = field(default_factory=list)  # all that were received
    exchanges: list[int] = field(default_factory=list)  # entries in each exchange
    # One item for each of the next exchanges: "request lost", "reply lost", "killed before", "killed after", or a list
    # with the answer to each entry: "taken", "full", "busy".
    script: list = field(default_factory=list)
    last: tuple[int, int] = (0, 0)
    overtaken: int = 0  # entries refused while a later one was taken
    broken: bool = False  # the next exchange raises RedisUnreachable

    def replies(self, commands):
        if [command[0] for command in commands] == ["TIME"]:  # no exchange that anything is told of
            return [[b"%d" % (now_ms() // 1000), b"%d" % (now_ms() % 1000 * 1000)]]
        self.exchanges.append(sum(command[0] == "XADD" for command in commands))
        if self.broken:
            self.broken = False
            raise RedisUnreachable("the connection was lost before")
        told = self.script.pop(0) if self.script else []
        if told == "request lost":
            raise RedisUnreachable(told)
        if told == "killed before":
            raise Killed
        self.commands += commands
        answers = iter(told if isinstance(told, list) else [])
        found = [self.reply(command, answers) for command in commands]
        if told == "reply lost":
            raise RedisUnreachable(told)
        if told == "killed after":
            raise Killed
        added = [not isinstance(reply, Exception) for reply, c in zip(found, commands, strict=True) if c[0] == "XADD"]
        self.overtaken += sum(not one and any(added[at:]) for at, one in enumerate(added))
        return found

    def call(self, *command):
        (reply,) = self.replies([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self):
        pass

    def add(self, entry_id, payload=b""):
        """Add an entry, as another process would."""
        self.entries[entry_id] = (self.now_s, payload)
        self.last = entry_id

    def crash(self, seconds):
        """Restart without the entries that were added in the last `seconds`."""
        self.broken = True
        self.entries = {key: value for key, value in self.entries.items() if value[0] <= self.now_s - seconds}
        self.last = max(self.entries, default=(0, 0))

    def reply(self, command, answers):
        """The reply to one command."""
        reply = 1
        match command[0]:
            case "XADD":
                reply = self._xadd(command, next(answers, "taken"))
            case "HGET":
                reply = self.spec
            case "GETRANGE" if ":incarnation:" in command[1]:
                reply = (self.incarnation or b"")[command[2] : command[3] + 1]
            case "SET" if ":incarnation:" in command[1]:
                reply, self.incarnation = self.incarnation, command[2].encode()
            case "GET":
                reply = self.demand if command[1].endswith(":demand") else self.latest
            case "XLEN":
                reply = len(self.entries)
            case "XREAD":
                reply = None
        return reply

    def _xadd(self, command, answer):
        if answer == "full":
            return ServerFull("OOM command not allowed when used memory > 'maxmemory'.")
        if answer == "busy":
            return NotNow("BUSY Redis is busy running a script.")
        entry_id = parse_id(command[2])
        if entry_id <= self.last:
            return ReplyError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        self.add(entry_id, command[-1])
        if b"overflow" in command:
            self.overflows[entry_id] = command[command.index(b"overflow") + 1]
        return command[2].encode()
