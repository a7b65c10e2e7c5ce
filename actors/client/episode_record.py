"""The record of an episode, which is kept for every one that was begun."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Outcome = Literal["win", "loss", "tie", "truncated", "aborted"]
END_OUTCOMES: tuple[Outcome, ...] = tuple(outcome for outcome in get_args(Outcome) if outcome != "aborted")


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """One game: how it was played, and how it ended."""

    id: str
    labels: Mapping[str, object]  # given by the caller: map, opponent, ...
    epoch: int
    version: int  # of the policy, the last one where several played it; 0: played without one
    outcome: Outcome
    reason: str  # why it was aborted, or is not trained on; empty otherwise
    started_ms: int
    duration_s: float
    steps: int  # actions asked for
    total_reward: float
    trained_on: bool  # whether its data is sent to the learner
    evaluation: bool = False  # played greedily, to evaluate its version; only its result is sent

    def to_json(self) -> str:
        """One line."""
        raw = {each.name: getattr(self, each.name) for each in fields(self)}  # labels may be what cannot be copied
        raw["duration_s"] = round(self.duration_s, 3)
        return json.dumps(raw, default=str)
