"""An actor's heartbeat: what it reports about itself once a second, and the commands that store it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ...common.process.clock import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...common.server.keys import Keys
    from ...common.server.streams import Argument
    from ...common.wire.weights import Pointer

HEARTBEAT_S = 1.0
_TTL_MS = 10_000
WARNING = "warning"  # the field for what is wrong with the game that an actor plays; empty: nothing

ActorState = Literal["starting", "playing", "waiting"]


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """What an actor reports about itself in its heartbeat."""

    state: ActorState
    credit_steps: int | None = None  # how many steps it may have unconsumed, if that is known
    lock_step: bool = False  # it adds nothing more before the learner's next version
    metrics: Mapping[str, str] = field(default_factory=dict)  # further fields


def heartbeat_fields(
    status: ActorStatus,
    *,
    latest: Pointer | None,
    steps: int,
    games: int,
    steps_per_second: float,
    overflow: int,
    unconsumed_steps: int,
    clock_skew_ms: int,
) -> dict[str, Argument]:
    """The fields of the hash that `broodmind status` and the learner read.

    Args:
        status: as the actor reports it.
        latest: the newest version that it knows; None: none.
        steps: that it has sent since it began.
        games: that ended in these.
        steps_per_second: sent lately, until now.
        overflow: games that it has given up before their first step, under this incarnation.
        unconsumed_steps: of its entries in the stream.
        clock_skew_ms: this machine's clock minus the server's.
    """
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "state": status.state,
        "credit_steps": "" if status.credit_steps is None else status.credit_steps,
        "unconsumed_steps": unconsumed_steps,
        "lock_step": int(status.lock_step),
        "epoch": latest.epoch if latest else 0,
        "version": latest.version if latest else 0,
        "steps": steps,
        "games": games,
        "overflow": overflow,
        "steps_per_second": f"{steps_per_second:.0f}",
        "updated_ms": now_ms(),
        "clock_skew_ms": clock_skew_ms,
        **status.metrics,
    }


def heartbeat_commands(
    keys: Keys, actor: str, incarnation: str, fields: Mapping[str, Argument]
) -> list[tuple[Argument, ...]]:
    """The commands that store a heartbeat; it expires by itself.

    Args:
        keys: the run's.
        actor: the actor's name.
        incarnation: the text of the actor's key for it.
        fields: of `heartbeat_fields`.
    """
    key = keys.heartbeat(actor)
    return [
        # Again: a learner removes it with the stream of an actor that was silent for long.
        ("SET", keys.incarnation(actor), incarnation),
        ("HSET", key, *(part for pair in fields.items() for part in pair)),
        ("PEXPIRE", key, _TTL_MS),
    ]
