"""The trainer: parameters, optimizer and algorithm; from a batch to new weights."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..common import network, wire
from ..common.errors import ConfigError
from ..common.seeding import Role, generator
from ..common.weights import encode_weights
from .optimizer import make_optimizer
from .parameters import Parameters
from .ppo import PPO, PPOConfig
from .reinforce import Reinforce

if TYPE_CHECKING:
    from ..common.network import Params
    from ..common.spec import RunSpec
    from .batch import Batch
    from .config import AlgorithmConfig
    from .figures import Figures


class Trainer:
    """Everything that learning changes. Fresh from the run's seed, or restored to go on bit for bit."""

    def __init__(self, spec: RunSpec, config: AlgorithmConfig) -> None:
        self._spec, self._config = spec, config
        rng = generator(spec.seed, Role.INITIAL_WEIGHTS)
        self._params = Parameters.of(network.initial_params(spec.network, spec.game, rng))
        self._rng = generator(spec.seed, Role.LEARNER)
        self._optimizer = make_optimizer(config.optimizer, self._params.flat.size)
        if isinstance(config, PPOConfig):
            self._algorithm: PPO | Reinforce = PPO(config, spec.network)
        else:
            self._algorithm = Reinforce(config, spec.network)

    def update(self, batch: Batch) -> Figures:
        """Train on one batch; return the update's figures."""
        return self._algorithm.update(self._params, self._optimizer, batch, self._config.rate, self._rng)

    def weights(self) -> bytes:
        """The blob to publish: a copy of the parameters as they are now."""
        return encode_weights(self._params.views, self._spec)

    def state(self) -> dict[str, Any]:
        """All else that the next update depends on."""
        return {
            "optimizer": self._config.optimizer,
            "arrays": self._optimizer.state(),
            "rng": json.dumps(self._rng.bit_generator.state),
        }

    def restore(self, params: Params, state: dict[str, Any]) -> None:
        """Go on from published weights and the state stored with them.

        Raises:
            ConfigError: if the run was trained with another optimizer than the one given now.
            WireError: if the state does not fit the network.
        """
        wire.check_fields(state, {"optimizer", "arrays", "rng"})
        if state["optimizer"] != self._config.optimizer:
            raise ConfigError(
                f"optimizer: {self._config.optimizer}, expected {state['optimizer']}, which this run was trained with"
            )
        for name, value in params.items():
            self._params.views[name][...] = value
        expected = self._optimizer.state()
        wire.check_fields(state["arrays"], set(expected))
        dtypes = ("<f4", "<i8")
        self._optimizer.restore(
            {name: wire.take_array(state["arrays"], name, dtypes, value.shape) for name, value in expected.items()}
        )
        self._rng.bit_generator.state = json.loads(state["rng"])

    def describe(self) -> dict[str, Any]:
        """The algorithm and its settings, for `stats`."""
        return {"algo": type(self._algorithm).__name__.lower(), **asdict(self._config)}
