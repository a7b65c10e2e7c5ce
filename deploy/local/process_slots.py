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

_HEAVY_STAGGER_S = 3.0  # between the first starts of actors whose game takes a core and a gigabyte to load
_EVALUATOR_DELAY_S = 10.0
_STAGGER_S = 0.2  # between the first starts of those actors that exceed the number of cores


def module_command(*arguments: str) -> list[str]:
    """The command line of a broodmind command, by this interpreter.

    -P excludes the current folder from the search path of imports, as in the installed command, so that a user's
    `redis.py` there is not imported instead of the client. A game in that folder is still found: see `make_game`.
    """
    return [sys.executable, "-P", "-m", "broodmind.deploy.cli", *arguments]


def actor_slots(given: Given, config: Config, actors: int, name: str, logs: Path | None = None) -> list[Slot]:
    """One slot for each actor process. The numbers in their names have three digits, so that names sort like slots.

    Args:
        given: the settings that the actors inherit.
        config: the effective configuration of these.
        actors: the number of actor processes.
        name: the prefix of the actors' names.
        logs: the folder for their logs; None: they write to standard error.
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


def evaluator_slot(given: Given, logs: Path) -> Slot:
    """The slot of the evaluator, which starts late: a short run needs the processors and the memory for itself."""
    return Slot(
        "evaluator",
        module_command(*child_arguments("evaluator", "evaluator")),
        message=encode(given),
        log=logs / "evaluator.log",
        first_delay_s=_EVALUATOR_DELAY_S,
        restart=False,
        essential=False,
    )


def learner_slot(given: Given, logs: Path) -> Slot:
    """The slot of the learner. If the learner ends with exit code 0, it has reached its goal."""
    command = module_command(*child_arguments("learner", "learner"))
    return Slot("learner", command, message=encode(given), log=logs / "learner.log", restart=False)
