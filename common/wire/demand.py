"""The learner's demand: how much each actor may have unconsumed, so that a full, fresh batch is always on its way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from ..errors import WireError

# Of its share, so much of which a client may have finished and not sent, before it gives up games: each update that a
# game waits for makes it older by a version. In a run each of 16 clients beside a learner of 1.5 updates a second, on a
# busy machine, 16 % of what arrived was stale with a half, and nothing with a quarter.
UNSENT_SHARE = 0.25
_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Demand:
    """The value of the key `demand`, which actors read with the pointer to the latest version.

    An actor adds nothing while what it has unconsumed has reached both `steps` and `games`, or has reached
    `payload_bytes`.
    """

    serial: int  # rises each time that the learner changes it
    steps: int  # of each actor; 0: the batch is not measured in steps
    games: int  # of each actor; 0: the batch is not measured in games
    payload_bytes: int  # of each actor
    batch_steps: int  # of the learner's batch
    batch_games: int

    def to_json(self) -> str:
        """The JSON text as it is stored in Redis."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes) -> Demand:
        """The inverse of `to_json`. Raises WireError for any other text."""
        try:
            raw = json.loads(text)
            values = {field.name: raw[field.name] for field in fields(cls)}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise WireError(f"demand: {text[:80]!r}, expected one of this version of broodmind") from error
        for name, value in values.items():
            if type(value) is not int or not 0 <= value < _MAX:
                raise WireError(f"demand: {name} is {value!r:.40}, expected an integer from 0 to 2^53")
        return cls(**values)
