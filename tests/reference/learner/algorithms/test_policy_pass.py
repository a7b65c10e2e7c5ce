"""Gradients of losses whose log-probabilities are given the steps before, against central differences in float64.

The log-probabilities are those of the definition: the network is run on each step and on the one before it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from support.finite_differences import differences

from broodmind.common.actions import Box
from broodmind.common.policy.network import LOG_STD
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.history import History
from broodmind.learner.algorithms.minibatches import Minibatch
from broodmind.learner.algorithms.policy_pass import PolicyPass
from broodmind.learner.algorithms.ppo import update as ppo
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.reinforce.update import Reinforce
from broodmind.learner.algorithms.vtrace_actor_critic import update as actor_critic
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.optimizers import SGD

FEATURES, DIMS, ROWS, CORRELATION = 3, 2, 8, 0.8
GAME = GameSpec("reference", (FEATURES,), Box((-1.0,) * DIMS, (1.0,) * DIMS))
NETWORKS = [NetworkSpec(hidden, "tanh", shared) for hidden in ((5,), (5, 4)) for shared in (False, True)]
every_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda n: f"{len(n.hidden)}-{n.shared}")


def run_spec(network):
    return RunSpec(GAME, network, RolloutSpec(noise_correlation=CORRELATION))


def random_params(network, seed):
    params = Parameters(network, GAME, np.float64)
    params.flat[...] = np.random.default_rng(seed).normal(0, 0.5, params.flat.size)
    return params


def means_and_values(params, network, observations):
    """Layer by layer."""
    heads = []
    for head in ("policy", "value"):
        x, depth = observations, len(network.hidden)
        torso = "torso" if network.shared else head
        for layer in range(depth):
            x = np.tanh(x @ params.views[f"{torso}/w{layer}"] + params.views[f"{torso}/b{layer}"])
        last = 0 if network.shared else depth
        heads.append(x @ params.views[f"{head}/w{last}"] + params.views[f"{head}/b{last}"])
    return heads[0], heads[1][:, 0]


def densities(params, network, observations, actions, history):
    """Of each row, the normal curves of its numbers given the step before."""
    means, _ = means_and_values(params, network, observations)
    before, _ = means_and_values(params, network, history.observations)
    curves = []
    for row in range(len(actions)):
        known = history.known[row]
        shifts = CORRELATION * (history.actions[row] - before[row]) if known else np.zeros(DIMS)
        scale = math.sqrt(1 - CORRELATION**2) if known else 1.0
        deviations = np.exp(params.views[LOG_STD]) * scale
        curves.append([NormalDist(*each) for each in zip(means[row] + shifts, deviations, strict=True)])
    return curves


def slow_log_probs(params, network, observations, actions, history):
    curves = densities(params, network, observations, actions, history)
    return np.array(
        [
            sum(math.log(curve.pdf(number)) for curve, number in zip(row, action, strict=True))
            for row, action in zip(curves, actions, strict=True)
        ]
    )


def slow_entropies(params, network, observations, actions, history):
    curves = densities(params, network, observations, actions, history)
    return np.array([sum(0.5 * math.log(2 * math.pi * math.e * curve.variance) for curve in row) for row in curves])


def some_rows(params, network, seed, ratios):
    rng = np.random.default_rng(seed)
    observations, actions = rng.normal(size=(ROWS, FEATURES)), rng.normal(size=(ROWS, DIMS))
    known = np.arange(ROWS) % 3 > 0
    history = History(rng.normal(size=(ROWS, FEATURES)), rng.normal(size=(ROWS, DIMS)), known, CORRELATION)
    taken = slow_log_probs(params, network, observations, actions, history)
    advantages = np.array([1.0, -1.5, 0.7, -0.4, 1.2, -2.0, 0.9, -1.1])
    targets = rng.normal(size=ROWS)
    return Minibatch(observations, actions, taken - np.log(ratios), advantages, targets, None, history)


def assert_same_gradient(found, expected):
    assert np.abs(expected).max() > 1e-3, "a flat loss proves nothing"
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@every_network
@pytest.mark.parametrize("algorithm", ["ppo", "vtrace"])
def test_the_gradient_of_a_loss_equals_central_differences(network, algorithm):
    params = random_params(network, 1)
    rows = some_rows(params, network, 2, np.array([0.4, 0.9, 0.95, 1.05, 1.1, 1.6, 0.6, 1.4]))
    arguments = (params, network, rows.observations, rows.actions, rows.history)

    def loss():
        log_probs = slow_log_probs(*arguments)
        if algorithm == "ppo":
            ratios = np.exp(log_probs - rows.log_probs)
            policy = -np.minimum(ratios * rows.advantages, np.clip(ratios, 0.8, 1.2) * rows.advantages).mean()
        else:
            policy = -(rows.advantages * log_probs).mean()
        _, values = means_and_values(params, network, rows.observations)
        value = 0.7 * 0.5 * np.mean((values - rows.targets) ** 2)
        return policy + value - 0.3 * slow_entropies(*arguments).mean()

    gradient = params.like()
    gradient.flat[...] = np.nan
    if algorithm == "ppo":
        config = PPOConfig(clip_range=0.2, entropy_coef=0.3, value_coef=0.7)
        metrics, _ = ppo.write_gradient(config, run_spec(network), params, rows, gradient)
    else:
        config = VTraceConfig(entropy_coef=0.3, value_coef=0.7)
        metrics = actor_critic.write_gradient(config, run_spec(network), params, rows, gradient)
    assert metrics["policy_loss"] + metrics["value_loss"] - 0.3 * metrics["entropy"] == pytest.approx(loss(), rel=1e-10)
    assert_same_gradient(gradient.flat, differences(loss, params.flat))


@every_network
def test_one_reinforce_step_at_rate_one_moves_by_the_gradient_of_its_loss(network):
    params = random_params(network, 3)
    rng = np.random.default_rng(4)
    steps, games = 4, 3
    valid = np.arange(steps)[:, None] < np.array([4, 2, 3])
    observations, actions = rng.normal(size=(steps + 1, games, FEATURES)), rng.normal(size=(steps, games, DIMS))
    rewards = rng.integers(-3, 4, (steps, games)) / 2.0
    ended, nothing = np.zeros((steps, games), np.bool_), np.zeros((steps, games))
    batch = Batch(
        *(observations, actions, nothing, rewards, ended, ended, valid, None, games), noise_correlation=CORRELATION
    )
    config = ReinforceConfig(
        optimizer="sgd", baseline="none", importance="none", gamma=0.5, entropy_coef=0.25, max_grad_norm=1e9, popart=0.0
    )
    at = [(t, g) for t in range(steps) for g in range(games) if valid[t, g]]
    now = tuple(np.array(at).T)
    before = (np.maximum(now[0] - 1, 0), now[1])
    history = History(observations[before], actions[before], now[0] > 0, CORRELATION)
    to_go = np.array([sum(0.5 ** (s - t) * rewards[s, g] for s in range(t, steps) if valid[s, g]) for t, g in at])

    def loss():
        arguments = (params, network, observations[now], actions[now], history)
        return -(to_go @ slow_log_probs(*arguments) + 0.25 * slow_entropies(*arguments).sum()) / games

    expected, start = differences(loss, params.flat), params.flat.copy()
    Reinforce(config, run_spec(network)).update(params, SGD(params.flat.size, dtype=np.float64), batch, 1.0, rng)
    assert_same_gradient(start - params.flat, expected)


def test_values_are_of_the_steps_and_not_of_those_before():
    network = NETWORKS[0]
    params = random_params(network, 5)
    rows = some_rows(params, network, 6, np.ones(ROWS))
    found = PolicyPass(params, run_spec(network), rows.observations, None, rows.history).values
    np.testing.assert_allclose(found, means_and_values(params, network, rows.observations)[1], rtol=1e-12)
