"""The names of all Redis keys of a run, with the type and the bound of each.

The hash tag of every key is the run's name, so that a cluster keeps all keys of a run on one node, where the commit
script can change them together. Each docstring gives the key's type, its content and its bound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError

GROUP = "learner"  # the one consumer group on every trajectory stream
CONSUMER = "mind"  # the consumer of every learner: a successor takes over the pending entries under the same name
SOLO_CONSUMER = "solo"  # the consumer of entries that are processed alone: see learner/ingest/quarantine.py

# Names become parts of keys, of file names and of redis-cli commands: no braces, colons, spaces or slashes.
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_name(what: str, name: str) -> str:
    """Return `name` if it may be part of a key. Otherwise raise ConfigError, which names it as `what`."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{what}: {name!r}, expected 1 to 64 of letters, digits, '_', '.', '-'")
    return name


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one run."""

    run: str

    def __post_init__(self) -> None:
        """Check the run's name, which must not end the hash tag."""
        check_name("run", self.run)

    def _key(self, *parts: str) -> str:
        return ":".join((f"broodmind:{{{self.run}}}", *parts))

    def pattern(self, *parts: str) -> str:
        """A pattern that matches all keys that begin with these parts, for the rights of users."""
        return self._key(*parts, "*")

    def trajectories(self, actor: str) -> str:
        """Stream; one per actor, one entry per trajectory. Bound: actors wait at high water, commits delete entries."""
        return self._key("trajectories", actor)

    @property
    def head(self) -> str:
        """Hash; the state that the run has reached: epoch, version, commit, counters. Bound: fixed fields."""
        return self._key("head")

    def weights(self, epoch: int, version: int) -> str:
        """String; one immutable version of the policy. Bound: a commit deletes all but the last few versions."""
        return self._key("weights", f"{epoch}-{version}")

    @property
    def latest(self) -> str:
        """String (JSON); the pointer to the latest version, which actors poll. Bound: one."""
        return self._key("latest")

    @property
    def versions(self) -> str:
        """Stream; one entry per version, with id EPOCH-VERSION; wakes waiting actors. Bound: MAXLEN."""
        return self._key("versions")

    @property
    def learner(self) -> str:
        """String; the state that a successor needs besides the weights. Bound: one."""
        return self._key("learner")

    @property
    def lease(self) -> str:
        """String; FENCE-NONCE, the token of the learner that may write. Bound: its TTL."""
        return self._key("lease")

    @property
    def fence(self) -> str:
        """String; the number of leases given so far. Bound: one number."""
        return self._key("fence")

    @property
    def spec(self) -> str:
        """Hash; the run's spec and digest, and the learner's configuration without secrets. Bound: fixed fields."""
        return self._key("spec")

    @property
    def stats(self) -> str:
        """Hash; counters, metrics and gauges for monitoring, written by each commit. Bound: fixed fields."""
        return self._key("stats")

    def heartbeat(self, actor: str) -> str:
        """Hash; an actor's heartbeat: its own report on itself. Bound: its TTL."""
        return self._key("actors", actor)

    @property
    def roster(self) -> str:
        """Hash; actor to incarnation. The learner reads these actors. Bound: the learner removes silent ones."""
        return self._key("roster")

    @property
    def rejected(self) -> str:
        """Stream; rejected entries, each with the reason and the first 4 KB of its payload. Bound: MAXLEN."""
        return self._key("rejected")

    @property
    def ledger(self) -> str:
        """Stream; one entry per commit: the ids it consumed, and which of them it rejected. Bound: MAXLEN."""
        return self._key("ledger")

    def staged(self, what: str, commit: str) -> str:
        """String; a blob that a commit will rename to its final key. Bound: its TTL."""
        return self._key("staged", what, commit)
