"""`broodmind acl`: prints an ACL file for Redis or Valkey, with one user for each role of a run.

An ACL restricts commands and keys, but not arguments: a user who may add to a stream can also empty it, with
`XADD ... MAXLEN 0`. Therefore each actor may add only to streams of its own name.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import TYPE_CHECKING

import click

from ...common.errors import ConfigError
from ...common.server.keys import Keys, check_name
from ..config.effective import server_url
from ..config.options import with_settings
from ..config.tree import Config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.given import Given

# Many clients send CLIENT SETINFO when they connect. Redis 7.0 does not know it, and rejects an ACL file that names it.
_SETINFO_SINCE = (7, 2)
_SERVERS = {"redis-7.0": (7, 0), "redis-7.2": (7, 2), "valkey-9": (7, 2)}  # every Valkey reports that it is Redis 7.2
_NUMBERED = "-[0-9][0-9][0-9]"  # the suffix that `broodmind actors --name` adds for each process
_SHA256 = re.compile(r"[0-9a-f]{64}")

# The commands that the learner uses, directly or in scripts; a script runs with the rights of its caller.
LEARNER_COMMANDS = (
    *("info", "watch", "multi", "exec", "eval", "evalsha", "get", "getrange", "set", "strlen", "exists", "incr"),
    *("del", "unlink", "time", "rename", "persist", "pexpire"),
    *("hget", "hmget", "hgetall", "hscan", "hstrlen", "hset", "hdel"),
    *("scan", "memory|usage"),
    *("xadd", "xlen", "xgroup|create", "xreadgroup", "xpending", "xclaim", "xack", "xdel"),
)

# The commands that `broodmind verify` uses. None of them writes, but EVAL requires read and write access to its keys.
_AUDITOR = (
    *("multi", "exec", "eval", "exists", "get", "getrange", "hgetall", "hkeys"),
    *("xrange", "xpending", "xinfo|stream", "xinfo|groups"),
)


@click.command()
@with_settings("run", "connection")
@click.option(
    "--actors",
    required=True,
    help="Names of actors, as given to `broodmind actors --name`, separated by commas: box1,box2.",
)
@click.option(
    "--server",
    type=click.Choice(list(_SERVERS)),
    help="The server that will load the file.  [default: what the server at --redis reports]",
)
@click.option(
    "--sha256",
    "hashes_given",
    multiple=True,
    metavar="USER=HEX",
    help="SHA-256 of a user's password, instead of a new password. It may be given once for each user.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the file and the new passwords.")
def acl(given: Given, *, actors: str, server: str | None, hashes_given: Sequence[str], as_json: bool) -> None:
    """Print an ACL file: users for the learner, an auditor (verify), an evaluator, a monitor (status) and each actor.

    The file is written to standard output, new passwords to standard error. The passwords are not stored anywhere. No
    user in the file can administer the server: add a line for an administrator if you need one.
    """
    version = _SERVERS[server] if server else _ask_version(server_url(given))
    rights = rights_of(given.get("run", Config().run), _names(actors), introduces=version >= _SETINFO_SINCE)
    hashes = _hashes(hashes_given, rights)
    passwords = {user: secrets.token_urlsafe(24) for user in rights if user not in hashes}
    hashes |= {user: hashlib.sha256(password.encode()).hexdigest() for user, password in passwords.items()}
    text = acl_file(rights, hashes)
    if as_json:
        click.echo(json.dumps({"acl": text, "passwords": passwords}))
        return
    click.echo(text, nl=False)
    for user, password in passwords.items():
        click.echo(f"{user} {password}", err=True)


def rights_of(run: str, actors: Sequence[str], *, introduces: bool) -> dict[str, str]:
    """The ACL rules of each user, by name. A name is RUN~ROLE: `~` occurs in neither part and is allowed in URLs.

    Args:
        run: the run's name.
        actors: names of actors, or of supervisors of actors.
        introduces: whether the server knows CLIENT SETINFO.
    """
    keys = Keys(run)
    common = ["+ping", *(["+client|setinfo"] if introduces else [])]
    scripted = {
        role: [*common, f"~{keys.pattern()}", *(f"+{command}" for command in commands)]
        for role, commands in (("learner", LEARNER_COMMANDS), ("auditor", _AUDITOR))
    }
    return {
        **{f"{run}~{role}": " ".join(rules) for role, rules in scripted.items()},
        f"{run}~evaluator": " ".join([*common, "+multi", "+exec", *_evaluator(keys)]),
        f"{run}~monitor": " ".join([*common, "+info", *_monitor(keys)]),
        **{f"{run}~actor~{actor}": " ".join([*common, "+time", *_actor(keys, actor)]) for actor in actors},
    }


def acl_file(rights: Mapping[str, str], hashes: Mapping[str, str]) -> str:
    """The text of the file. The default user is off, and each user has the listed rights and no others."""
    lines = [f"user {user} on #{hashes[user]} resetchannels -@all {rules}" for user, rules in rights.items()]
    return "\n".join(["user default off", *lines, ""])


def _actor(keys: Keys, actor: str) -> list[str]:
    own = [actor, actor + _NUMBERED]
    return [
        f"({_on('%W', *map(keys.trajectories, own))} +xadd +xlen)",
        f"({_on('%W', *map(keys.heartbeat, own))} +hset +pexpire +del)",
        f"({_on('%RW', *map(keys.incarnation, own))} +set +getrange)",
        f"({_on('%W', *map(keys.offer, own))} +set)",
        f"({_on('%R', keys.spec)} +hget)",
        f"({_on('%R', keys.latest, keys.demand, keys.pattern('weights'))} +get +getrange)",
        f"({_on('%R', keys.evaluation, keys.candidate, keys.best)} +get +getrange)",
        f"({_on('%R', keys.versions)} +xread)",
    ]


def _evaluator(keys: Keys) -> list[str]:
    """Rights to read the newest version, with the learner's state: all that a checkpoint has."""
    return [
        f"({_on('%R', keys.spec, keys.head, keys.stats)} +hget +hgetall)",
        f"({_on('%R', keys.learner, keys.pattern('weights'))} +get)",
    ]


def _monitor(keys: Keys) -> list[str]:
    """Rights to read everything except the content of trajectories and the learner's state."""
    return [
        f"({_on('%R', keys.head, keys.stats, keys.spec, keys.roster, keys.pattern('actors'))} +hget +hgetall +hkeys)",
        f"({_on('%R', keys.pattern('actors'))} +hlen +memory|usage)",
        f"({_on('%R', keys.lease, keys.latest, keys.demand, keys.pattern('weights'))} +get +getrange +ttl +pttl)",
        f"({_on('%R', keys.evaluation, keys.candidate, keys.best)} +get +getrange)",
        f"({_on('%R', keys.versions, keys.rejected, keys.ledger)} +xrange +xrevrange +xread +xlen)",
        f"({_on('%R', keys.pattern('trajectories'))} +xlen +xpending +xinfo|groups +xinfo|consumers)",
    ]


def _on(access: str, *patterns: str) -> str:
    return " ".join(f"{access}~{pattern}" for pattern in patterns)


def _names(actors: str) -> list[str]:
    """Parse the actors' names. Raises ConfigError if the rights of one would include the streams of another."""
    names = [check_name("actors", name.strip()) for name in actors.split(",")]
    for name in names:
        whose = re.sub(r"-\d{3}$", "", name)
        if names.count(name) > 1 or (whose != name and whose in names):
            raise ConfigError(f"actors: {name!r} beside {whose!r}, expected names that have no streams in common")
    return names


def _hashes(given: Sequence[str], users: Mapping[str, str]) -> dict[str, str]:
    pairs = [item.partition("=")[::2] for item in given]
    for user, sha256 in pairs:
        if user not in users:
            raise ConfigError(f"sha256: user {user!r}, expected one of {', '.join(users)}")
        if not _SHA256.fullmatch(sha256):
            raise ConfigError(f"sha256: {len(sha256)} characters for {user}, expected 64 hex digits in lower case")
    return dict(pairs)


def _ask_version(url: str) -> tuple[int, ...]:
    from ...common.server.streams import (
        Server,
    )  # here, because it loads the Redis client, which --server makes needless

    server = Server(url)
    try:
        raw: bytes = server.call("INFO", "server")
    finally:
        server.close()
    found = re.search(rb"redis_version:(\d+)\.(\d+)", raw)
    if found is None:
        raise ConfigError(
            f"server: {server.url} does not report its version, expected --server with one of {', '.join(_SERVERS)}"
        )
    return tuple(int(part) for part in found.groups())
