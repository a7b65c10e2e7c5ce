"""The learner and actor processes of a run, as slots for the supervisor."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ...actors.games.starcraft2_spec import NAME as STARCRAFT2
from ...actors.supervision.child_process import ProcessLimits
from ...actors.supervision.supervisor import Slot
from ..config.inherited import child_arguments, encode

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.given import Given
    from ..config.tree import Config

_HEAVY_STAGGER_S = 3.0  # between those of games that take a core and a gigabyte to load
_STAGGER_S = 0.2  # between the first starts of actors, beyond as many as there are cores


def module_command(*arguments: str) -> list[str]:
    """The command line of a broodmind command, by this interpreter.

    -P keeps the current folder out of the search for our own imports, as it is in the installed command: a user's
    `redis.py` there must not take the place of the client. His game is still found there; see `games.make_game`.
    """
    return [sys.executable, "-P", "-m", "broodmind.deploy.cli", *arguments]


def actor_slots(given: Given, config: Config, actors: int, name: str, logs: Path | None = None) -> list[Slot]:
    """One slot an actor process. Their names are padded, so that their order is that of the slots.

    Args:
        given: the settings that the actors inherit.
        config: what these come to.
        actors: how many.
        name: what the actors' names begin with.
        logs: the folder for their logs; None leaves them on standard error.
    """
    supervision = config.supervision
    limits = ProcessLimits(supervision.no_progress_seconds or None, supervision.max_attempt_seconds or None)

    def slot(index: int) -> Slot:
        actor = f"{name}-{index:03}"
        if config.game == STARCRAFT2:
            delay_s = _HEAVY_STAGGER_S * index
        else:
            delay_s = _STAGGER_S * max(0, index + 1 - (os.cpu_count() or 1))
        return Slot(
            actor,
            module_command(*child_arguments("actor", actor)),
            message=encode(given.having(name=actor)),
            log=logs / f"actor-{index:03}.log" if logs else None,
            first_delay_s=delay_s,
            reports=True,
            limits=limits,
        )

    return [slot(index) for index in range(actors)]


def learner_slot(given: Given, logs: Path) -> Slot:
    """The slot of the learner; when it ends with 0 it has reached its goal."""
    command = module_command(*child_arguments("learner", "learner"))
    return Slot("learner", command, message=encode(given), log=logs / "learner.log", restart=False)
