"""What version 0.1 wrote, built here as that version's code did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from broodmind.common.wire import codec

if TYPE_CHECKING:
    from broodmind.common.wire.entry_header import Header
    from broodmind.common.wire.trajectory import Trajectory


def payload_fields(trajectory: Trajectory, actor: str) -> dict[str, object]:
    """The fields of a payload of format 1: the games that ended are among them."""
    episodes = trajectory.episodes
    return {
        "format": 1,
        "observations": trajectory.observations,
        "actions": trajectory.actions,
        "log_probs": trajectory.log_probs,
        "rewards": trajectory.rewards,
        "terminated": trajectory.terminated,
        "truncated": trajectory.truncated,
        "valid": trajectory.valid,
        "masks": trajectory.masks,
        "returns": np.array(episodes.returns, np.float32),
        "lengths": np.array(episodes.lengths, np.int32),
        "wins": None if episodes.wins is None else np.array(episodes.wins, np.bool_),
        "actor": actor,
    }


def encode_trajectory(trajectory: Trajectory, actor: str) -> bytes:
    """A payload of format 1."""
    return codec.encode(payload_fields(trajectory, actor))


def entry_fields(header: Header, payload: bytes) -> list[bytes | str | int]:
    """The fields of an XADD. An imported trajectory's has one more."""
    return [
        *("v", header.version, "e", header.epoch, "c", header.commits[0]),
        *("n", header.steps, "g", header.games, "t", header.created_ms),
        *(("b", "declared") if header.imported else ()),
        *("p", payload),
    ]
