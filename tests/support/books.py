"""Checks that a run's records in Redis and the actors' journals agree with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.runs import hash_of

from broodmind.common.wire import codec
from broodmind.deploy.audit.verify import verify
from broodmind.learner.commit.commit import LEDGER_KEPT

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def audit(
    url: str,
    run: str,
    journals: Path | None = None,
    *,
    forgiven: Collection[str] = (),
    commits_max: int = LEDGER_KEPT,
) -> dict[str, int]:
    """Assert that `verify` finds no violation since the run's beginning. Returns its metrics.

    Args:
        url: the server's.
        run: the run's name.
        journals: those of its actors.
        forgiven: kinds of violations that are ignored: for example, after a failover to an older replica, acknowledged
            entries may be "lost".
        commits_max: more than a ledger keeps where the run may be so long that its beginning is not known any more.
    """
    verdict = verify(url, run, journals)
    wrong = [each for each in verdict.violations if each.kind not in forgiven]
    assert not wrong, f"{len(wrong)} violations: {wrong[:5]}, {verdict.metrics}"
    assert verdict.complete or commits_max > LEDGER_KEPT
    return verdict.metrics


def backlog(redis, keys) -> int:
    """Entries in the streams of all actors, whether they have been admitted or not."""
    return sum(redis.pipeline([("XLEN", stream) for stream in redis.call("KEYS", keys.trajectories("*"))]))


def check_learner_state(redis, keys) -> None:
    """Assert that the learner state in Redis belongs to the head's commit."""
    raw = redis.call("GET", keys.learner)
    learner = codec.decode(raw, max_bytes=1 << 30, max_list=1 << 16, max_map=1 << 16)
    assert learner["commit"] == hash_of(redis, keys.head)["commit"]
