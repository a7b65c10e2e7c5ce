"""The trainer: holds parameters, optimizer, algorithm and normaliser, and turns a batch into new weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.actions import Box
from ...common.errors import ConfigError, WireError
from ...common.policy import network
from ...common.process.seeding import Role, generator
from ...common.spec import RunSpec
from ...common.wire import codec
from ...common.wire.weights import encode_weights
from ..maths.flat_parameters import Parameters
from ..maths.optimizers import make_optimizer
from ..maths.running_moments import Moments
from ..metrics.update_metrics import NonFinite, check_finite
from . import learning_rate
from .policy_rate import PolicyRate
from .registry import make_algorithm, name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...common.policy.network import Params
    from ...common.spec import RunSpec
    from ...common.wire.codec import Array
    from ..maths.running_moments import Range
    from ..metrics.update_metrics import Metrics
    from .batch import Batch
    from .registry import Algorithm, AlgorithmConfig

_STATE = {"optimizer", "algo", "arrays", "algorithm", "normaliser", "rates", "rng"}
_DTYPES = ("<f4", "<f8", "<i8")
# Fields of an algorithm's state that version 0.1 did not write, and what they are in a state that it wrote.
_MOMENTS, _WEIGHT = np.array([0.0, 1.0]), np.zeros(1)
_ADDED = {
    "average_weight": np.ones(1),
    # Of REINFORCE's values, and of its returns.
    "moments": _MOMENTS,
    "weight": _WEIGHT,
    "return_moments": _MOMENTS,
    "return_weight": _WEIGHT,
}


class Trainer:
    """Everything that an update changes: initialised from the run's seed, or restored to continue bit for bit."""

    def __init__(self, spec: RunSpec, config: AlgorithmConfig, algorithm: Algorithm | None = None) -> None:
        """Args: algorithm: what updates the parameters; None: it is made from `config`."""
        self._spec, self._config = spec, config
        rng = generator(spec.seed, Role.INITIAL_WEIGHTS)
        self._params = Parameters.of(network.initial_params(spec.network, spec.game, rng), spec.network, spec.game)
        if network.LOG_STD in self._params.views:
            self._params.views[network.LOG_STD][...] = config.log_std_init
        self._rng = generator(spec.seed, Role.LEARNER)
        self._optimizer = make_optimizer(config.optimizer, self._params.flat.size)
        self._algorithm = algorithm or make_algorithm(config, spec)
        self._normaliser = Moments(spec.game.features)
        self.clipped_to: Range | None = None  # of the last update, see `Moments.update`
        self._progress = np.array([0.0, 0.0, 1.0])  # updates, trained steps, the factor that follows the KL
        self.rate_factor = 1.0  # of the learning rate; stored by whoever sets it

    def update(self, batch: Batch) -> Metrics:
        """Train on one batch, and return the update's metrics.

        Raises:
            NonFinite: if a loss, a gradient or a new parameter is not finite. The trainer is then in the state before.
        """
        if not self._config.WHOLE_EPISODES:  # a whole episode keeps its stale steps, with weight 0
            batch = batch.without_stale_steps()
        before = (self._params.flat.copy(), self.state())
        updates, steps, factor = self._progress
        optimizer = self._optimizer if factor == 1 else PolicyRate(self._optimizer, self._params, factor)
        try:
            with np.errstate(all="ignore"):  # the algorithm and the check below find these values
                metrics = self._algorithm.update(
                    self._params, optimizer, self._prepared(batch), self._rate(batch), self._rng
                )
            check_finite({"parameters": float(np.abs(self._params.flat).max())})
        except NonFinite:
            self._params.flat[...] = before[0]
            self._restore(before[1])
            raise
        metrics["effective_rate"] *= float(factor)
        factor = learning_rate.follow_kl(factor, metrics["kl"], self._config.schedule.kl_target)
        self._progress[...] = updates + 1, steps + batch.steps, factor
        # After the update, so that the update normalises observations as the actors did, or nearly so.
        if self._spec.network.normalize_observations:
            rows = batch.observations[:-1][batch.trained]
            self.clipped_to = self._normaliser.update(rows)
            metrics = {**metrics, "observations_clipped": _share_outside(rows, self.clipped_to)}
        return metrics

    def forget_moments(self) -> None:
        """Let the next batch replace the moments of observations and value targets; until then they stay."""
        self._normaliser.forget()
        self._algorithm.forget_moments()

    @property
    def passes(self) -> int:
        """The number of passes that an update makes over its batch."""
        return self._config.n_epochs

    def start_from(self, origin: WarmStart) -> None:
        """Begin with the parameters of a warm start. Everything else stays as initialised."""
        for name, values in origin.params.items():
            self._params.views[name][...] = values
        if origin.normaliser is not None:
            self._normaliser.restore(origin.normaliser)

    def weights(self) -> bytes:
        """The weights to publish: an encoded copy of the current parameters."""
        return encode_weights({**self._params.views, **self._carried()}, self._spec)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next update depends on."""
        return {
            "optimizer": self._config.optimizer,
            "algo": name_of(self._config),
            "arrays": self._optimizer.state(),
            "algorithm": self._algorithm.state(),
            "normaliser": self._normaliser.state(),
            "rates": self._progress.copy(),
            "rng": json.dumps(self._rng.bit_generator.state),
        }

    def restore(self, params: Params, raw: dict[str, Any]) -> None:
        """Continue from published weights and the state stored with them.

        Raises:
            ConfigError: if the run was trained with another algorithm or optimizer than the one given now.
            WireError: if the state does not fit the network.
        """
        codec.check_fields(raw, _STATE)
        for name, ours in (("algo", name_of(self._config)), ("optimizer", self._config.optimizer)):
            if raw[name] != ours:
                raise ConfigError(f"{name}: {ours}, expected {raw[name]}, which this run was trained with")
        taken = {part: _take(raw[part], own) for part, own in self.state().items() if isinstance(own, dict)}
        progress = codec.take_array(raw, "rates", ("<f8",), self._progress.shape)
        if taken["algorithm"].get("proximal", self._params.flat[:0]).size not in {0, self._params.flat.size}:
            raise WireError(f"proximal: not of the network's size, expected {self._params.flat.size} numbers or none")
        for name, view in self._params.views.items():
            view[...] = params[name]
        self._restore({**raw, **taken, "rates": progress})

    def go_back(self, params: Params, raw: dict[str, Any]) -> None:
        """Like `restore`, but the run goes on from here: schedules are where they are, random numbers are new ones."""
        progress, rng = self._progress[:2].copy(), self._rng.bit_generator.state
        self.restore(params, raw)
        self._progress[:2], self._rng.bit_generator.state = progress, rng

    def describe(self) -> dict[str, Any]:
        """The algorithm and its settings, for the `stats` hash."""
        settings: dict[str, Any] = asdict(self._config)  # type: ignore[call-overload]  # a dataclass, as all of them
        return {"algo": name_of(self._config), **settings.pop("schedule"), **settings}

    def _restore(self, state: dict[str, Any]) -> None:
        self._optimizer.restore(state["arrays"])
        self._algorithm.restore(state["algorithm"], self._params)
        self._normaliser.restore(state["normaliser"])
        self._progress[...] = state["rates"]
        self._rng.bit_generator.state = json.loads(state["rng"])

    def _rate(self, batch: Batch) -> float:
        config, (updates, steps, _) = self._config.schedule, self._progress
        scheduled = self._config.learning_rate * learning_rate.schedule(config, int(updates), int(steps))
        return float(self.rate_factor * scheduled * learning_rate.batch_scale(config, batch.steps))

    def _carried(self) -> Params:
        if not self._spec.network.normalize_observations:
            return {}
        mean, deviation = self._normaliser.mean, self._normaliser.deviation
        return {network.MEAN: mean.astype(np.float32), network.SCALE: (1 / deviation).astype(np.float32)}

    def _prepared(self, batch: Batch) -> Batch:
        shape = batch.observations.shape
        rows = network.prepare(self._carried(), batch.observations.reshape(-1, shape[-1]))
        schedule, weights = self._config.schedule, None
        if batch.ages is not None and schedule.stale_factor < 1:
            weights = learning_rate.stale_weights(schedule, batch.ages).astype(batch.rewards.dtype)
        correlation = self._spec.rollout.noise_correlation if isinstance(self._spec.game.actions, Box) else 0.0
        return replace(batch, observations=rows.reshape(shape), weights=weights, noise_correlation=correlation)


def _share_outside(rows: NDArray[np.floating], clipped_to: Range | None) -> float:
    """The share of the numbers in rows [N, F] that are outside of a range; 0 if there is none."""
    if clipped_to is None or not rows.size:
        return 0.0
    return float(np.count_nonzero((rows < clipped_to[0]) | (rows > clipped_to[1]))) / rows.size


def _take(raw: Any, expected: dict[str, Array]) -> dict[str, Array]:  # noqa: ANN401 - from a decoded map
    """Check the arrays of one part of the state. `proximal` may be empty, as it is before the first update."""
    added = {name: value.copy() for name, value in _ADDED.items() if name in expected and name not in raw}
    codec.check_fields(raw, set(expected) - set(added))
    shapes = {
        name: (None,) if name == "proximal" else value.shape for name, value in expected.items() if name not in added
    }
    return added | {name: codec.take_array(raw, name, _DTYPES, shape) for name, shape in shapes.items()}


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Some or all initial parameters of a run, and the normaliser of observations if the network has one."""

    params: Params
    normaliser: dict[str, Array] | None = None
