"""The evaluation at the end of a local run: of its last version and of its best, in games that chose neither."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...common.errors import BroodmindError
from ...common.process.log import Log
from .best_version import BestVersion
from .evaluation import Plan, evaluations
from .evaluator import choose, policy_of, read_run, resumed_steps
from .loading import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...actors.inference.policy import Policy
    from ...common.server.keys import Keys
    from ...common.server.streams import Server
    from ..records.run_folder import RunFolder
    from .evaluation import Evaluation
    from .evaluator import EvaluatorTask

_log = Log("evaluator")


@dataclass(frozen=True, slots=True)
class FinalEvaluation:
    """The results, each by game: several of a two-player game."""

    last: Mapping[str, Evaluation]
    last_sampled: Mapping[str, Evaluation]  # of the last version, too, with actions drawn as in training
    best: Mapping[str, Evaluation] | None  # None if no best version could be read or written
    best_epoch: int = 0
    best_version: int = 0


def evaluate_at_the_end(
    server: Server, keys: Keys, folder: RunFolder, task: EvaluatorTask, episodes: int
) -> FinalEvaluation | None:
    """Let the last version take part in the choice of the best one, and evaluate both in other games.

    Args:
        server: the run's.
        keys: the run's.
        folder: has the evaluations so far and gets the last one.
        task: how versions are evaluated to choose the best one.
        episodes: of each of the evaluations whose results are returned.

    Returns:
        None if the run has no version.
    """
    found = read_run(server, keys)
    if found is None:
        return None
    snapshot, spec = found
    plan, last = Plan(episodes, spec.seed, copies=task.copies), policy_of(snapshot, spec)

    def evaluated(policy: Policy, *, sample: bool = False) -> dict[str, Evaluation]:
        return evaluations(policy, task.game, replace(plan, sample=sample), task.game_args)

    played, sampled = evaluated(last), evaluated(last, sample=True)
    try:
        best = BestVersion(folder)
        best.forget_lost(snapshot.head.epoch, resumed_steps(server, keys))
        if not best.is_evaluated(snapshot):
            choose(best, snapshot, spec, task)
        chosen = load(folder.checkpoint("best"))
    except (OSError, BroodmindError) as error:
        _log.warning("best version not known", error=error)
        return FinalEvaluation(played, sampled, None)
    is_last = (chosen.epoch, chosen.version) == (snapshot.head.epoch, snapshot.head.version)
    of_best = played if is_last else evaluated(chosen.for_actors())
    return FinalEvaluation(played, sampled, of_best, chosen.epoch, chosen.version)
