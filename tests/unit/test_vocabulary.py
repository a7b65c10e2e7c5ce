"""One word for one thing: no identifier of the package is a word that was replaced, outside the module of old names."""

from __future__ import annotations

import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("broodmind", "actors", "common", "deploy", "learner")
OLD_NAMES = ROOT / "common" / "deprecated.py"

# What a reader took for something else, and the word of the field that stands there today.
REPLACED = {
    "Line": "ActorConnection",
    "Uplink": "BlockingActorConnection",
    "Desk": "EncoderThread",
    "Courier": "SenderThread",
    "Backlog": "SendQueue",
    "Parcel": "QueuedEpisode",
    "observed": "validate_observation",
    "allowed_by": "validate_mask",
    "Unusable": "UnusableValue",
    "Question": "InferenceRequest",
    "decide": "run_inference",
    "Move": "Action",
    "Manners": "ErrorPolicy",
    "mistake": "raise_or_log",
    "Improvised": "FallbackAction",
    "substitute": "fallback_policy",
    "Recording": "EpisodeBuffer",
    "Ending": "EpisodeEnd",
    "Attempt": "EpisodeRecord",
    "Record": "ProcessRecord",
    "supervised": "supervised_child",
    "mark": "heartbeat",
    "Conversation": "ClientSession",
    "hear": "handle",
    "seat": "player",
    "movers": "current_players",
    "Pool": "OpponentPool",
    "meet": "on_policy",
    "Only": "FixedOpponent",
    "Piece": "Fragment",
    "piece": "fragment",
    "Intake": "Batcher",
    "set_aside": "reject_accepted",
    "Known": "LastKnownState",
    "lost_to": "may_have_lost",
    "Stored": "RunSnapshot",
    "Origin": "WarmStart",
    "Suspect": "PoisonCandidate",
    "alone": "processed_solo",
    "Figures": "Metrics",
    "figures": "metrics",
    "RateOfSteps": "Throughput",
    "RateConfig": "LearningRateConfig",
    "taken_log_probs": "action_log_probs",
    "sweep": "run_epochs",
    "Rows": "Minibatch",
    "declared": "imported",
    "foreign": "off_run",
    "refused": "rejected",
    "refusal": "rejection",
    "dropped": "rejected",
    "hold_back": "policy_lag",
    "twins": "stacked",
}


def identifiers(path: Path) -> dict[str, int]:
    """Every name in a file, and the first line that it stands on."""
    found: dict[str, int] = {}
    with path.open(encoding="utf-8") as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.NAME:
                found.setdefault(token.string, token.start[0])
    return found


@pytest.mark.parametrize("path", [p for name in FOLDERS for p in sorted((ROOT / name).rglob("*.py"))], ids=str)
def test_no_identifier_is_a_replaced_word(path):
    if path == OLD_NAMES:
        return
    for name, line in identifiers(path).items():
        words = {name, name.lstrip("_")}
        assert not (words & REPLACED.keys()), (
            f"{path}:{line}: {name}, expected {REPLACED[(words & REPLACED.keys()).pop()]}"
        )
