"""The game that a policy was trained on: its name and its arguments, from its run's record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..records.run_folder import RunFolder, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.given import Given
    from .policy import Policy


@dataclass(frozen=True, slots=True)
class RunGame:
    """A game and its arguments."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


def run_game(given: Given, path: Path, policy: Policy) -> RunGame:
    """The game that a command is to play with a policy.

    Args:
        given: the command's settings; `game` and `game_args` take precedence.
        path: the run's folder, or a file of its checkpoints.
        policy: what was loaded from there. The game's name in its spec is used where there is no record of a run.
    """
    folder = path if path.is_dir() else path.parent
    record = next((found for each in (folder, folder.parent) if (found := read_object(RunFolder(each).about))), {})
    name = given.get("game") or record.get("game") or policy.game.name
    own = record.get("game_args") if name == record.get("game") else None
    return RunGame(name, {**(own if isinstance(own, dict) else {}), **given.get("game_args", {})})
