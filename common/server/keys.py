"""The names of all Redis keys of a run, with the type and the bound of each.

Every key of a run carries the run's name as hash tag, so that a cluster keeps a run on one node and the commit script
may touch all of it. Each docstring says the key's type, what holds it, and what bounds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError

GROUP = "learner"  # the one consumer group on every trajectory stream
CONSUMER = "mind"  # the one consumer in it: a successor inherits its pending entries under the same name
SOLO_CONSUMER = "solo"  # and the other one, for an entry that is processed by itself: learner/ingest/quarantine.py

# Names become parts of keys, of file names and of redis-cli commands: no braces, colons, spaces or slashes.
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_name(what: str, name: str) -> str:
    """Return `name` if it may stand in a key; raise ConfigError naming it otherwise."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{what}: {name!r}, expected 1 to 64 of letters, digits, '_', '.', '-'")
    return name


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one run."""

    run: str

    def __post_init__(self) -> None:
        """Refuse names that would break out of the hash tag."""
        check_name("run", self.run)

    def _key(self, *parts: str) -> str:
        return ":".join((f"broodmind:{{{self.run}}}", *parts))

    def pattern(self, *parts: str) -> str:
        """No key, but what all keys that begin with these parts match: for the rights of users."""
        return self._key(*parts, "*")

    def trajectories(self, actor: str) -> str:
        """Stream; one an actor, one entry a trajectory. Bound: the actor stops at high water, commits delete."""
        return self._key("trajectories", actor)

    @property
    def head(self) -> str:
        """Hash; the truth about the run: epoch, version, commit, counters. Bound: fixed fields."""
        return self._key("head")

    def weights(self, epoch: int, version: int) -> str:
        """String; one immutable version of the policy. Bound: a commit deletes what falls out of the last few."""
        return self._key("weights", f"{epoch}-{version}")

    @property
    def latest(self) -> str:
        """String (JSON); the pointer that actors poll. Bound: one."""
        return self._key("latest")

    @property
    def versions(self) -> str:
        """Stream; one entry a version, id EPOCH-VERSION; wakes waiting actors. Bound: MAXLEN."""
        return self._key("versions")

    @property
    def learner(self) -> str:
        """String; what a successor needs besides the weights. Bound: one."""
        return self._key("learner")

    @property
    def lease(self) -> str:
        """String; FENCE-NONCE of the learner that may write. Bound: its TTL."""
        return self._key("lease")

    @property
    def fence(self) -> str:
        """String; counts the leases ever given. Bound: one number."""
        return self._key("fence")

    @property
    def spec(self) -> str:
        """Hash; the run's spec and digest, and the learner's configuration without secrets. Bound: fixed fields."""
        return self._key("spec")

    @property
    def stats(self) -> str:
        """Hash; gauges for people, rewritten at each commit. Bound: fixed fields."""
        return self._key("stats")

    def heartbeat(self, actor: str) -> str:
        """Hash; what an actor says about itself. Bound: its TTL."""
        return self._key("actors", actor)

    @property
    def roster(self) -> str:
        """Hash; actor name to incarnation, for each actor the learner reads. Bound: silent, drained actors leave."""
        return self._key("roster")

    @property
    def rejected(self) -> str:
        """Stream; rejected entries with reason and their first 4 KB. Bound: MAXLEN."""
        return self._key("rejected")

    @property
    def ledger(self) -> str:
        """Stream; one entry a commit: which ids it consumed and what became of them. Bound: MAXLEN."""
        return self._key("ledger")

    def staged(self, what: str, commit: str) -> str:
        """String; a blob on its way into a commit. Bound: its TTL; the commit renames it into place."""
        return self._key("staged", what, commit)
