"""The names of all Redis keys of a run, with the type and the bound of each.

The run's name is the hash tag of all its keys, so that a cluster keeps them on one node, where the commit script can
change them together. Each docstring gives the key's type, its content, and what limits its size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError

GROUP = "learner"  # the one consumer group on every trajectory stream
CONSUMER = "mind"  # its usual consumer: the next learner has the same name, and so gets the pending entries
SOLO_CONSUMER = "solo"  # its other consumer, for an entry that is processed by itself: learner/ingest/quarantine.py

# Names are parts of keys, file names and redis-cli commands, so they have no braces, colons, spaces or slashes, and are
# neither this folder nor the one above.
NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,64}")


def check_name(what: str, name: str) -> str:
    """Return `name` if it may be part of a key. Raises ConfigError otherwise; `what` is the name of the setting."""
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ConfigError(f"{what}: {name!r:.80}, expected 1 to 64 of letters, digits, '_', '.', '-', not only dots")
    return name


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one run."""

    run: str

    def __post_init__(self) -> None:
        """Check that the run's name has no character that would end the hash tag."""
        check_name("run", self.run)

    def _key(self, *parts: str) -> str:
        return ":".join((f"broodmind:{{{self.run}}}", *parts))

    def pattern(self, *parts: str) -> str:
        """A pattern, not a key: it matches all keys that begin with these parts. ACL rules use it."""
        return self._key(*parts, "*")

    def trajectories(self, actor: str) -> str:
        """Stream, one per actor; one entry per trajectory. Bound: the learner's demand, commits delete."""
        return self._key("trajectories", actor)

    def actor_of(self, stream: str | bytes) -> str:
        """The inverse of `trajectories`."""
        text = stream if isinstance(stream, str) else stream.decode()
        return text[len(self.trajectories("")) :]

    @property
    def head(self) -> str:
        """Hash; where the run stands: epoch, version, commit id and counters. Bound: fixed fields."""
        return self._key("head")

    def weights(self, epoch: int, version: int) -> str:
        """String; one immutable version of the policy. Bound: commits delete all but the last few."""
        return self._key("weights", f"{epoch}-{version}")

    @property
    def latest(self) -> str:
        """String (JSON); the pointer to the newest version, which actors poll. Bound: one value."""
        return self._key("latest")

    @property
    def demand(self) -> str:
        """String (JSON); how much each actor may have unconsumed: common/wire/demand.py. Bound: one."""
        return self._key("demand")

    @property
    def versions(self) -> str:
        """Stream; one entry per version, with the id EPOCH-VERSION; actors wait for new ones. Bound: MAXLEN."""
        return self._key("versions")

    @property
    def learner(self) -> str:
        """String; the state that the next learner needs besides the weights. Bound: one value."""
        return self._key("learner")

    @property
    def restore_point(self) -> str:
        """String; the best state so far, to which a learner goes back after a collapse. Bound: one value."""
        return self._key("restore_point")

    @property
    def lease(self) -> str:
        """String; FENCE-NONCE of the learner that may write. Bound: its TTL."""
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
        """Hash; counters, metrics and gauges for display, written at each commit. Bound: fixed fields."""
        return self._key("stats")

    def heartbeat(self, actor: str) -> str:
        """Hash; what an actor reports of itself. Bound: its TTL."""
        return self._key("actors", actor)

    @property
    def evaluation(self) -> str:
        """String (JSON); the plan for greedy games: common/wire/evaluation_plan.py. Bound: one value."""
        return self._key("evaluation")

    @property
    def candidate(self) -> str:
        """String; the weights of the version that greedy games evaluate. Bound: one value."""
        return self._key("candidate")

    @property
    def best(self) -> str:
        """String; the weights of the best version so far by greedy games. Bound: one value."""
        return self._key("best")

    def offer(self, actor: str) -> str:
        """String (JSON); the game that an actor offers to a run without a spec. Bound: its TTL, game_offer.py."""
        return self._key("offer", actor)

    def incarnation(self, actor: str) -> str:
        """String (START_MS NONCE); the actor's latest incarnation. Bound: one an actor; the learner removes it."""
        return self._key("incarnation", actor)

    @property
    def roster(self) -> str:
        """Hash; actor name to when it was admitted (ms), by the learner alone. Bound: silent, drained actors leave."""
        return self._key("roster")

    @property
    def rejected(self) -> str:
        """Stream; rejected entries with reason and their first 4 KB. Bound: MAXLEN."""
        return self._key("rejected")

    @property
    def ledger(self) -> str:
        """Stream; one entry per commit: which entries it consumed, and which of these it rejected. Bound: MAXLEN."""
        return self._key("ledger")

    def staged(self, what: str, commit: str) -> str:
        """String; a blob that a commit needs. Bound: its TTL; the commit renames the key to its final name."""
        return self._key("staged", what, commit)
