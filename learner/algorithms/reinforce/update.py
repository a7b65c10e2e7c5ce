"""REINFORCE with a baseline over whole games (Williams 1992), in the scaled-rate batch form.

The gradient is summed over the steps of all games and divided by the number of games. So a batch of ten equal games
changes the weights as much as a batch of one such game, and not ten times as much. With `mean_over=steps` it is divided
by the number of steps: then a long game has as much weight as several short ones, and no more than its steps have.

Advantages are in units of the returns' running standard deviation: an update does not depend on the unit of the
rewards, and `learning_rate`, `entropy_coef` and `max_grad_norm` mean the same in every game. All games of a batch have
the same one, so that their weights to each other are those of the formula. With `popart=0` advantages are in the
rewards' unit.

The return of a game that was truncated includes the value of its last observation, if there is a value function
(`baseline=value`). Without one it is the sum of the rewards until then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ....common.policy.network import value_outputs
from ...maths.losses import bounded, effective_sample_size, kl_k3, policy_gradient, squared_error
from ...maths.optimizers import clip_norms_apart
from ...maths.outliers import believable_range
from ...maths.popart import ValueScale
from ...maths.returns import discounted_returns
from ...metrics.update_metrics import check_finite
from ..batch_predictions import action_log_probs
from ..learning_rate import effective_rate
from ..policy_pass import PolicyPass
from .baselines import MovingAverage, means_of_games, means_of_others

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....common.policy.network import Floats
    from ....common.spec import RunSpec
    from ....common.wire.codec import Array
    from ...maths.flat_parameters import Parameters
    from ...maths.optimizers import Optimizer
    from ...metrics.update_metrics import Metrics
    from ..batch import Batch
    from .config import Importance, ReinforceConfig

_BASELINE_CLIP = 30.0  # deviations from the median return, as PopArt's targets


class Reinforce:
    """REINFORCE: each update is one optimizer step."""

    def __init__(self, config: ReinforceConfig, spec: RunSpec) -> None:
        self._config, self._spec = config, spec
        self._average = MovingAverage()
        self._scale = ValueScale(config.popart)  # of returns, for the policy
        self._values = ValueScale(config.popart)  # of the value head; as it began where there is no value function

    def update(
        self, params: Parameters, optimizer: Optimizer, batch: Batch, rate: float, _rng: np.random.Generator
    ) -> Metrics:
        """Update `params` in place by one step on a batch of whole games. Returns the metrics of the step.

        Steps that are too stale have weight 0: they have no gradient, and are part of their game's returns and weight.

        Raises:
            NonFinite: if a loss or gradient is not finite; of `params`, the value head may have changed by then.
        """
        config, trained = self._config, batch.trained
        with_values = config.baseline == "value"  # else they would be half of the work, for nothing
        rewards = self._with_futures(params, batch) if with_values else batch.rewards
        returns = discounted_returns(rewards, batch.valid, config.gamma)
        self._scale.follow(returns[trained])
        if with_values:
            self._values.update(returns[trained], params.views)
        divisor = max(batch.games if config.mean_over == "games" else batch.steps, 1)
        masks = None if batch.masks is None else batch.masks[trained]
        observations, history = batch.observations[:-1][trained], batch.history(trained)
        network = PolicyPass(params, self._spec, observations, masks, history, with_values=with_values)
        choice = network.choice
        actions = batch.actions[trained]
        taken = choice.log_prob(actions)
        log_ratios = self._stale_log_ratios(params, batch)
        log_ratios[trained] = bounded(taken - batch.log_probs[trained])

        baselines = self._baselines(returns, trained, self._values.values(network.values))
        advantages = (returns[trained] - baselines) / self._scale.deviation
        weights = importance_weights(log_ratios, batch.valid, config.importance, config.weight_cap)[trained]
        if batch.weights is not None:
            weights = weights * batch.weights[trained]
        loss, taken_grad = policy_gradient(taken, (weights * advantages / divisor).astype(taken.dtype))
        value_loss, values_grad = 0.0, None
        if with_values:
            value_loss, values_grad = squared_error(
                network.values, self._values.normalise(returns[trained]), config.value_coef
            )
        gradient = params.like()
        network.backward(gradient, actions, taken_grad, config.entropy_coef / divisor, values_grad)
        norms = clip_norms_apart(gradient.apart, config.max_grad_norm)
        metrics = {
            "policy_loss": loss,
            "value_loss": value_loss,
            "entropy": float(choice.entropy().mean()),
            "kl": kl_k3(log_ratios[trained]),
            "effective_samples": effective_sample_size(log_ratios[trained]),
            "gradient_norm": math.hypot(*norms),
            "baseline": float(np.mean(baselines)),
            # Of the policy's gradient, summed over the games or steps.
            "effective_rate": effective_rate(rate, norms[0], config.max_grad_norm) / divisor,
        }
        check_finite(metrics)
        optimizer.step(params.flat, gradient.flat, rate)
        return metrics

    def forget_moments(self) -> None:
        """Let the returns' average, mean and deviation begin anew."""
        self._average.forget()
        self._scale.forget()
        self._values.forget()

    def state(self) -> dict[str, Array]:
        """See `PPO.state`."""
        of_returns = {f"return_{name}": array for name, array in self._scale.state().items()}
        return {**self._average.state(), **of_returns, **self._values.state()}

    def restore(self, state: dict[str, Array], _params: Parameters) -> None:
        """See `PPO.restore`."""
        self._average.restore(state)
        self._scale.restore({name: state[f"return_{name}"] for name in ("moments", "weight")})
        self._values.restore(state)

    def _stale_log_ratios(self, params: Parameters, batch: Batch) -> Floats:
        """Log-ratios [T, B] of the steps that are not trained on, where their game's weight needs them; 0 elsewhere."""
        log_ratios = np.zeros_like(batch.log_probs)
        if batch.fresh is not None and self._config.importance == "game":
            stale = batch.valid & ~batch.fresh
            masks = None if batch.masks is None else batch.masks[stale]
            observations, history = batch.observations[:-1][stale], batch.history(stale)
            log_probs = action_log_probs(params.views, self._spec, observations, batch.actions[stale], masks, history)
            log_ratios[stale] = bounded(log_probs - batch.log_probs[stale])
        return log_ratios

    def _with_futures(self, params: Parameters, batch: Batch) -> Floats:
        """The rewards [T, B], to which at the end of a truncated game the discounted value of what follows is added."""
        rewards, truncated = batch.rewards.copy(), batch.truncated
        if truncated.any():
            outputs = value_outputs(params.views, self._spec.network, batch.observations[1:][truncated])
            rewards[truncated] += self._config.gamma * self._values.values(outputs)
        return rewards

    def _baselines(self, returns: Floats, trained: NDArray[np.bool_], values: Floats) -> Floats:
        """The baseline of each trained step [N], for returns [T, B] and values [N]. Moves the moving average."""
        games = trained.any(axis=0)  # others have only steps that are too stale
        # Clipped: after a reward of 1e9 the average, and with it all advantages, would be of its size for 300 games.
        usual = np.clip(returns, *believable_range(returns[trained][:, None], _BASELINE_CLIP))
        averages = self._average.fold(means_of_games(usual[:, games], trained[:, games]))
        match self._config.baseline:
            case "none":
                return np.zeros_like(returns[trained])
            case "value":
                return values
            case "batch_mean" if len(averages) > 2:
                by_game = means_of_others(returns[:, games], trained[:, games])
            case _:
                by_game = averages[:-1]
        baselines = np.zeros_like(returns)
        baselines[:, games] = by_game
        return baselines[trained]


def importance_weights(log_ratios: Floats, valid: Array, kind: Importance, cap: float) -> Floats:
    """Truncated importance weights [T, B] of whole games, one game per column.

    Args:
        log_ratios: [T, B], log pi(a|x) - log mu(a|x); 0 at steps that are not valid.
        valid: [T, B].
        kind: "step": min(cap, pi / mu) of each step. "game": min(cap, the product of pi / mu over the game), equal for
            all its steps. "none": 1.
        cap: the largest weight, at least 1.
    """
    assert log_ratios.shape == valid.shape
    if kind == "none":
        return np.ones_like(log_ratios)
    if kind == "game":
        log_ratios = np.broadcast_to((log_ratios * valid).sum(axis=0), log_ratios.shape)
    return np.exp(np.minimum(log_ratios, np.log(cap)))
