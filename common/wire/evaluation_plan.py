"""The learner's plan for greedy games: which share of a client's games they are, of which version; and the best one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import WireError
from .weights import Pointer


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """The value of the key `evaluation`, which clients read with the pointer to the latest version."""

    share: float  # of a client's games that are played greedily and not trained on; at least 0, less than 1
    candidate: Pointer | None = None  # the version that plays them, whose weights are in the key `candidate`
    best: Pointer | None = None  # the best version so far by such games, whose weights are in the key `best`

    def to_json(self) -> str:
        """The JSON text as it is stored in Redis."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes) -> EvaluationPlan:
        """The inverse of `to_json`. Raises WireError for any other text."""
        try:
            raw = json.loads(text)
            share, candidate, best = raw["share"], raw["candidate"], raw["best"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise WireError(f"evaluation: {text[:80]!r}, expected a plan of this version of broodmind") from error
        if type(share) not in {int, float} or not 0 <= share < 1:
            raise WireError(f"evaluation: share is {share!r:.40}, expected a number from 0 to less than 1")
        return cls(float(share), _pointer(candidate), _pointer(best))


def _pointer(raw: Any) -> Pointer | None:  # noqa: ANN401 - decoded JSON
    return None if raw is None else Pointer.from_json(json.dumps(raw).encode())
