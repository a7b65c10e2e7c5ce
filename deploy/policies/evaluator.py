"""The evaluator: evaluates versions of a run while it is trained, in games and a process of its own.

It reads the run and writes only to a folder, so that it changes nothing of the training.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...actors.inference.policy import Policy
from ...common.errors import LineageLost, RedisUnreachable, WireError
from ...common.process.backoff import Backoff
from ...common.process.clock import Every
from ...common.process.log import Log
from ...common.server.keys import Keys
from ...common.server.streams import Server
from ...common.spec import READABLE, RunSpec
from ...common.wire.weights import Pointer
from ...learner.persistence.run_snapshot import read_snapshot
from .best_version import BestVersion
from .evaluation import COPIES, Plan, evaluations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...common.process.shutdown import Stop
    from ...learner.persistence.run_snapshot import RunSnapshot
    from ..config.tree import Config
    from ..records.run_folder import RunFolder
    from .cpu_budget import CpuBudget

_log = Log("evaluator")
_CHOOSING = (1,)  # other games than those whose results are reported at the end
_LOOK_EVERY_S = 0.5
_CHECK_EVERY_S = 0.05
_RECONNECT_S = (0.2, 5.0)


@dataclass(frozen=True, slots=True)
class EvaluatorTask:
    """What an evaluator does."""

    game: str
    episodes: int  # of each evaluation
    every_steps: int  # trained between two evaluations; 0: as often as its CPU time allows
    game_args: Mapping[str, Any] = field(default_factory=dict)
    copies: int = COPIES  # of the game at most; an actor has no more


def task_of(config: Config) -> EvaluatorTask:
    """What the settings say that an evaluator does."""
    chosen = config.evaluation
    return EvaluatorTask(
        config.game,
        chosen.choosing_episodes,
        chosen.eval_every or 0,
        config.game_args,
        min(COPIES, config.actors.envs),
    )


class _Stopped(Exception):
    """A stop was requested in the middle of an evaluation."""


def evaluate_while_training(
    url: str, run: str, task: EvaluatorTask, folder: RunFolder, budget: CpuBudget, stop: Stop
) -> None:
    """Evaluate the newest version again and again, and keep the best, until a stop is requested.

    Raises:
        ConfigError: if there is no such game. SpecMismatch: if it is not the run's.
        RedisUnreachable, RedisDenied: if the first attempt to connect fails.
    """
    server, keys = Server(url), Keys(run)
    server.call("PING")
    look_due, pauses = Every(_LOOK_EVERY_S), Backoff(*_RECONNECT_S)
    best: BestVersion | None = None
    evaluated_at = None  # the steps of the last version that was evaluated
    try:
        while not stop.requested:
            budget.wait(lambda: stop.requested)
            if not look_due.due() or stop.requested:
                time.sleep(_CHECK_EVERY_S)
                continue
            try:
                steps = _steps(server, keys)
                if steps is None or not _is_due(steps, evaluated_at, task.every_steps):
                    continue
                found = read_run(server, keys)
                if found is None:
                    continue
                if best is None:
                    best = BestVersion(folder)
                    best.forget_lost(found[0].head.epoch, resumed_steps(server, keys))
                pauses.reset()
            except (RedisUnreachable, LineageLost, WireError) as error:
                _log.warning("run not read, trying again", error=error)
                time.sleep(pauses.next_s())
                continue
            snapshot, spec = found
            evaluated_at = snapshot.counters.steps
            is_best = choose(best, snapshot, spec, task, lambda: _between_steps(stop, budget))
            _log.info("evaluated", version=snapshot.head.version, steps=evaluated_at, is_best=is_best)
    except _Stopped:
        pass
    finally:
        own_s, run_s = budget.used
        _log.info("ended", cpu_s=round(own_s, 2), cpu_s_of_the_run=round(run_s, 2))
        server.close()


def choose(
    best: BestVersion,
    snapshot: RunSnapshot,
    spec: RunSpec,
    task: EvaluatorTask,
    between_steps: Callable[[], None] = lambda: None,
) -> bool:
    """Evaluate a version in the games that choose the best one, and record it. Returns whether it is the best now."""
    plan = Plan(task.episodes, spec.seed, _CHOOSING, copies=task.copies)
    played = evaluations(policy_of(snapshot, spec), task.game, plan, task.game_args, between_steps)
    return best.add(snapshot, spec, played)


def policy_of(snapshot: RunSnapshot, spec: RunSpec) -> Policy:
    """A snapshot's version, as actors play with it."""
    pointer = Pointer(snapshot.head.epoch, snapshot.head.version, snapshot.head.commit, "", len(snapshot.weights))
    return Policy(pointer, snapshot.params(spec), spec)


def read_run(server: Server, keys: Keys) -> tuple[RunSnapshot, RunSpec] | None:
    """The run's newest version and its spec; None if it has none yet."""
    raw = server.call("HGET", keys.spec, "json")
    snapshot = read_snapshot(server, keys) if raw else None
    return None if snapshot is None else (snapshot, RunSpec.from_json(raw, formats=READABLE))


def resumed_steps(server: Server, keys: Keys) -> int:
    """The steps that the run had been trained on when its present learner process began."""
    return int(server.call("HGET", keys.stats, "resumed_steps") or 0)


def _between_steps(stop: Stop, budget: CpuBudget) -> None:
    budget.wait(lambda: stop.requested)
    if stop.requested:
        raise _Stopped


def _is_due(steps: int, evaluated_at: int | None, every: int) -> bool:
    if evaluated_at is None:
        return steps >= every and steps > 0
    return steps > evaluated_at and steps // max(every, 1) > evaluated_at // max(every, 1)


def _steps(server: Server, keys: Keys) -> int | None:
    raw = server.call("HGET", keys.head, "steps")
    return None if raw is None else int(raw)
