"""The versions whose weights are on the server: which there are, and a policy of each, in parts where it is large."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...common.wire.evaluation_plan import EvaluationPlan
from ...common.wire.weights import Pointer, check_length, decode_weights, digest, largest_length
from ..inference.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.server.keys import Keys
    from ...common.server.streams import Reply, Server
    from ...common.spec import RunSpec

NO_EVALUATION = EvaluationPlan(0.0)
_LOOK_BACK = 16  # versions, twice as many as a learner keeps
CHUNK_BYTES = 1 << 18  # weights are fetched in parts: for a client that stops reading, the server buffers a whole reply


class StoredVersions:
    """Fetches policies over an actor's connection. For the thread that owns it."""

    def __init__(self, keys: Keys, server: Server, call: Callable[..., Reply], before_part: Callable[[], None]) -> None:
        """Prepare; nothing is sent.

        Args:
            keys: the run's.
            server: for those who add nothing to the run: nobody need notice that this connection was lost.
            call: sends one command for the connection's owner, who notices if the connection is lost.
            before_part: called before each part of large weights: over a slow link, all of them together may take
                longer than a heartbeat lives.
        """
        self._keys, self._server, self._call, self._before_part = keys, server, call, before_part
        self._in_parts = True  # how large weights are fetched

    def fetch_policy(self, pointer: Pointer, spec: RunSpec) -> Policy:
        """Fetch a version's policy. Raises WireError if its weights are gone, or do not match the pointer."""
        return self._fetched(pointer, spec, self._keys.weights(pointer.epoch, pointer.version))

    def fetch_best(self, pointer: Pointer, spec: RunSpec) -> Policy:
        """Like `fetch_policy` for the best version, whose weights are kept as long as it is that."""
        return self._fetched(pointer, spec, self._keys.best)

    def fetch_candidate(self, pointer: Pointer, spec: RunSpec) -> Policy:
        """The same for the version that greedy games evaluate, whose weights are kept as long as it is that."""
        return self._fetched(pointer, spec, self._keys.candidate)

    def ask_latest(self) -> tuple[Pointer | None, EvaluationPlan]:
        """The newest version, and the plan with the best one. For those who add nothing to the run."""
        latest, plan = self._server.pipeline([("GET", self._keys.latest), ("GET", self._keys.evaluation)])
        return (
            None if latest is None else Pointer.from_json(latest),
            NO_EVALUATION if plan is None else EvaluationPlan.from_json(plan),
        )

    def kept(self, spec: RunSpec) -> dict[int, Callable[[], Policy]]:
        """The versions whose weights are on the server, and for each a function that fetches it."""
        latest, plan = self.ask_latest()
        found: dict[int, Callable[[], Policy]] = {}
        if latest is not None:
            versions = range(max(latest.version - _LOOK_BACK, 0), latest.version + 1)
            keys = [self._keys.weights(latest.epoch, version) for version in versions]
            sizes = self._server.pipeline([("GETRANGE", key, 0, 0) for key in keys])
            for version, key, first in zip(versions, keys, sizes, strict=True):
                if first:
                    found[version] = partial(self._fetch_unknown, latest.epoch, version, key, spec)
        for pointer, key in ((plan.candidate, self._keys.candidate), (plan.best, self._keys.best)):
            if pointer is not None:
                found[pointer.version] = partial(self._fetched, pointer, spec, key)
        return found

    def _fetched(self, pointer: Pointer, spec: RunSpec, key: str) -> Policy:
        check_length(pointer, spec)
        return Policy(pointer, decode_weights(self._fetch(pointer, key), pointer.digest, spec), spec)

    def _fetch_unknown(self, epoch: int, version: int, key: str, spec: RunSpec) -> Policy:
        """Fetch a version of which no pointer is known. Raises WireError if its weights are gone."""
        blob: bytes = self._call("GETRANGE", key, 0, largest_length(spec))  # one byte more than there may be
        pointer = Pointer(epoch, version, "", digest(blob), len(blob))
        check_length(pointer, spec)
        return Policy(pointer, decode_weights(blob, pointer.digest, spec), spec)

    def _fetch(self, pointer: Pointer, key: str) -> bytes:
        if pointer.length <= CHUNK_BYTES or not self._in_parts:
            return self._call("GET", key) or b""
        chunks: list[bytes] = []
        for start in range(0, pointer.length, CHUNK_BYTES):
            self._before_part()
            chunks.append(self._call("GETRANGE", key, start, start + CHUNK_BYTES - 1))
            if not chunks[-1]:
                # Over a slow link the version was deleted meanwhile, and so would be the next one. In one reply it is
                # whole, however long that takes to arrive.
                self._in_parts = start == 0
                break
        return b"".join(chunks)
