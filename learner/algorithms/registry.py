"""The one list of algorithms. Names need no import; an algorithm's classes are imported when they are used.

To add an algorithm, write its module and add its entry here. The module has two classes:

    a frozen dataclass of `Setting` fields, its hyperparameters, with `schedule: LearningRateConfig` and the class
        variable WHOLE_EPISODES: whether a batch is whole episodes rather than fragments;
    an Algorithm, made from these hyperparameters and the run's spec.

Both may be in one module. The algorithms below have the first in a module of its own, so that the command line can be
parsed without importing numpy.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np

    from ...common.spec import RunSpec
    from ...common.wire.codec import Array
    from ..maths.flat_parameters import Parameters
    from ..maths.optimizer_name import OptimizerName
    from ..maths.optimizers import Optimizer
    from ..metrics.update_metrics import Metrics
    from .batch import Batch
    from .learning_rate import LearningRateConfig


class AlgorithmConfig(Protocol):
    """The hyperparameters that every algorithm has."""

    WHOLE_EPISODES: ClassVar[bool]

    @property
    def learning_rate(self) -> float:
        """Step size of the optimizer."""

    @property
    def optimizer(self) -> OptimizerName:
        """Name of the optimizer."""

    @property
    def n_epochs(self) -> int:
        """The number of passes over each batch."""

    @property
    def log_std_init(self) -> float:
        """Logarithm of the first standard deviation of continuous actions."""

    @property
    def schedule(self) -> LearningRateConfig:
        """The settings of the learning rate's schedule."""


class Algorithm(Protocol):
    """Updates the parameters from a batch."""

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, rng: np.random.Generator, /
    ) -> Metrics:
        """Update `params` in place from a batch, and return the update's metrics.

        Raises NonFinite if a loss or gradient is not finite; `params` and `optimizer` may have changed by then.
        """

    def forget_moments(self) -> None:
        """Forget running statistics of rewards, which a bad one may have ruined, without a change of V."""

    def state(self) -> dict[str, Array]:
        """Everything that the next update depends on, besides parameters and optimizer."""

    def restore(self, state: dict[str, Array], params: Parameters, /) -> None:
        """Restore a result of `state`; the next update is then the same, bit for bit."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The places of an algorithm's two classes, as module:class relative to this package."""

    config: str
    algorithm: str


ALGORITHMS = {
    "ppo": Entry("ppo.config:PPOConfig", "ppo.update:PPO"),
    "impact": Entry("impact.config:ImpactConfig", "impact.update:Impact"),
    "vtrace": Entry("vtrace_actor_critic.config:VTraceConfig", "vtrace_actor_critic.update:Impala"),
    "reinforce": Entry("reinforce.config:ReinforceConfig", "reinforce.update:Reinforce"),
}
AUTO = "ppo"
# PPO's settings with `auto`, by the kind of actions, chosen over the list of benchmarks/suite_rows.py. They learn more
# from a batch than PPO's own defaults, which are for games so fast that the learner is what limits a run.
_DISCRETE = {"n_epochs": 8}
_CONTINUOUS = {"learning_rate": 3e-4, "minibatch_size": 64, "n_epochs": 10, "entropy_coef": 0.0}


def resolve(algo: str) -> str:
    """The algorithm of a name, which may be `auto`."""
    return AUTO if algo == "auto" else algo


def preset(algo: str, *, continuous: bool) -> dict[str, Any]:
    """Settings that differ from the algorithm's own defaults: with `auto`, by the game's kind of actions."""
    return dict(_CONTINUOUS if continuous else _DISCRETE) if algo == "auto" else {}


def config_class(name: str) -> Any:  # noqa: ANN401 - the class of an AlgorithmConfig
    """The class of an algorithm's hyperparameters."""
    return _load(ALGORITHMS[name].config)


def name_of(config: AlgorithmConfig) -> str:
    """The name of the algorithm that has these hyperparameters."""
    wanted = f"{type(config).__module__}:{type(config).__name__}"
    return next(name for name, entry in ALGORITHMS.items() if wanted.endswith(f".algorithms.{entry.config}"))


def make_algorithm(config: AlgorithmConfig, spec: RunSpec) -> Algorithm:
    """Make the algorithm that has these hyperparameters, for a run."""
    made: Algorithm = _load(ALGORITHMS[name_of(config)].algorithm)(config, spec)
    return made


def _load(place: str) -> Any:  # noqa: ANN401 - a class
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)
