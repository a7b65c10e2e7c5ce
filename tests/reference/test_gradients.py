"""Gradients by hand against central differences, in float64.

The loss values come from definitions written out here, so a loss and its gradient cannot be wrong together.
"""

import math

import numpy as np
import pytest
from support.finite_differences import differences

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.policy.distributions import Categorical
from broodmind.common.policy.network import LOG_STD
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.impact.config import ImpactConfig
from broodmind.learner.algorithms.impact.update import Impact
from broodmind.learner.algorithms.minibatches import Minibatch
from broodmind.learner.algorithms.ppo import update as ppo
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.reinforce.update import Reinforce
from broodmind.learner.algorithms.vtrace_actor_critic import update as actor_critic
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig
from broodmind.learner.maths.flat_parameters import Parameters
from broodmind.learner.maths.losses import clipped_surrogate, kl_k3, policy_gradient, squared_error, to_logits
from broodmind.learner.maths.mlp_backprop import Forward
from broodmind.learner.maths.optimizers import SGD
from broodmind.learner.maths.popart import ValueScale
from broodmind.learner.maths.returns import generalized_advantages
from broodmind.learner.maths.vtrace import vtrace

FEATURES, ACTIONS, ROWS = 3, 4, 9
GAME = GameSpec("reference", (FEATURES,), Discrete(ACTIONS))
NETWORKS = [
    NetworkSpec(hidden, activation, shared)
    for hidden in ((5,), (5, 4), (4, 5, 3))
    for activation in ("tanh", "relu")
    for shared in (False, True)
]
every_network = pytest.mark.parametrize(
    "network", NETWORKS, ids=lambda n: f"{n.activation}-{len(n.hidden)}-{'shared' if n.shared else 'separate'}"
)
with_and_without_masks = pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])


def random_params(network, seed, game=GAME):
    params = Parameters(network, game, np.float64)
    params.flat[...] = np.random.default_rng(seed).normal(0, 0.7, params.flat.size)
    return params


def assert_same_gradient(found, expected):
    assert np.abs(expected).max() > 1e-3, "a flat loss proves nothing"
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def slow_forward(params, network, observations):
    """Logits and values, layer by layer."""

    def layer(x, name, index):
        return x @ params.views[f"{name}/w{index}"] + params.views[f"{name}/b{index}"]

    def hidden(x, name, depth):
        for index in range(depth):
            x = layer(x, name, index)
            x = np.tanh(x) if network.activation == "tanh" else np.where(x > 0, x, 0)
        return x

    depth = len(network.hidden)
    if network.shared:
        below = hidden(observations, "torso", depth)
        return layer(below, "policy", 0), layer(below, "value", 0)[:, 0]
    logits = layer(hidden(observations, "policy", depth), "policy", depth)
    return logits, layer(hidden(observations, "value", depth), "value", depth)[:, 0]


def slow_log_probs(logits, masks):
    """log pi(a|x) from the definition; the logits here are small enough for a plain exponential."""
    weights = np.exp(logits) * (1 if masks is None else masks)
    with np.errstate(divide="ignore"):
        return np.log(weights / weights.sum(axis=1, keepdims=True))


def slow_entropies(log_probs):
    return -(np.exp(log_probs) * np.where(log_probs > -math.inf, log_probs, 0)).sum(axis=1)


def some_masks(actions, rng):
    masks = rng.random((len(actions), ACTIONS)) < 0.6
    masks[np.arange(len(actions)), actions] = True
    masks[0] = np.arange(ACTIONS) == actions[0]  # a row with no choice at all
    return masks


@every_network
def test_the_forward_pass_equals_the_layers_computed_one_by_one(network):
    params = random_params(network, 1)
    observations = np.random.default_rng(2).normal(size=(ROWS, FEATURES))
    logits, values = slow_forward(params, network, observations)
    network_pass = Forward(params, network, observations)
    np.testing.assert_allclose(network_pass.outputs, logits, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(network_pass.values, values, rtol=1e-12, atol=1e-12)


@every_network
def test_the_backward_pass_gives_the_gradient_of_both_outputs(network):
    params = random_params(network, 3)
    rng = np.random.default_rng(4)
    observations = rng.normal(size=(ROWS, FEATURES))
    to_policy, to_value = rng.normal(size=(ROWS, ACTIONS)), rng.normal(size=ROWS)

    def loss():
        outputs = Forward(params, network, observations)
        return float((to_policy * outputs.outputs).sum() + (to_value * outputs.values).sum())

    gradient = params.like()
    gradient.flat[...] = np.nan  # all of it must be overwritten
    Forward(params, network, observations).backward(gradient, to_policy.copy(), to_value.copy())
    assert_same_gradient(gradient.flat, differences(loss, params.flat))


@every_network
def test_without_values_only_the_policys_gradient_is_written(network):
    params = random_params(network, 3)
    rng = np.random.default_rng(4)
    observations, to_policy = rng.normal(size=(ROWS, FEATURES)), rng.normal(size=(ROWS, ACTIONS))
    both, alone = params.like(), params.like()
    Forward(params, network, observations).backward(both, to_policy.copy(), np.zeros(ROWS))
    policy = Forward(params, network, observations, with_values=False)
    assert policy.values.shape == (0,)
    np.testing.assert_allclose(policy.outputs, slow_forward(params, network, observations)[0], rtol=1e-12, atol=1e-12)
    alone.flat[...] = 7
    policy.backward(alone, to_policy.copy())
    for name, gradient in alone.views.items():
        expected = 7 if name.startswith("value/") else both.views[name]
        np.testing.assert_allclose(gradient, np.broadcast_to(expected, gradient.shape), rtol=1e-9, atol=1e-12)


def ppo_rows(params, network, *, masked, seed):
    """Rows whose ratios lie on both sides of the clip at 0.2, with both signs of advantage, none near a kink."""
    rng = np.random.default_rng(seed)
    ratios = np.array([0.4, 0.7, 0.9, 0.95, 1.05, 1.1, 1.3, 1.6, 0.6, 1.4])
    advantages = np.array([1.0, -1.5, 0.7, -0.4, 1.2, -2.0, 0.9, -1.1, -0.3, 1.7])
    observations = rng.normal(size=(len(ratios), FEATURES))
    actions = rng.integers(0, ACTIONS, len(ratios), dtype=np.int32)
    masks = some_masks(actions, rng) if masked else None
    logits, _ = slow_forward(params, network, observations)
    taken = slow_log_probs(logits, masks)[np.arange(len(actions)), actions]
    return Minibatch(observations, actions, taken - np.log(ratios), advantages, rng.normal(size=len(ratios)), masks)


def slow_ppo_loss(config, network, params, rows):
    logits, values = slow_forward(params, network, rows.observations)
    log_probs = slow_log_probs(logits, rows.masks)
    policy = []
    for row, action in enumerate(rows.actions):
        ratio, advantage = math.exp(log_probs[row, action] - rows.log_probs[row]), rows.advantages[row]
        clipped = min(max(ratio, 1 - config.clip_range), 1 + config.clip_range)
        policy.append(min(ratio * advantage, clipped * advantage))
    value = config.value_coef * 0.5 * np.mean((values - rows.targets) ** 2)
    return -np.mean(policy), value, slow_entropies(log_probs).mean()


@with_and_without_masks
@every_network
def test_the_gradient_of_ppos_loss_equals_central_differences(network, masked):
    config = PPOConfig(clip_range=0.2, entropy_coef=0.3, value_coef=0.7)
    params = random_params(network, 5)
    rows = ppo_rows(params, network, masked=masked, seed=6)
    gradient = params.like()
    metrics, _ = ppo.write_gradient(config, RunSpec(GAME, network), params, rows, gradient)

    policy_loss, value_loss, entropy = slow_ppo_loss(config, network, params, rows)
    assert metrics["policy_loss"] == pytest.approx(policy_loss, rel=1e-12)
    assert metrics["value_loss"] == pytest.approx(value_loss, rel=1e-12)
    assert metrics["entropy"] == pytest.approx(entropy, rel=1e-12)
    assert metrics["clip_fraction"] == pytest.approx(6 / 10)  # six of the ten ratios in ppo_rows

    def loss():
        policy_loss, value_loss, entropy = slow_ppo_loss(config, network, params, rows)
        return policy_loss + value_loss - config.entropy_coef * entropy

    assert_same_gradient(gradient.flat, differences(loss, params.flat))


def test_a_clipped_ratio_has_a_gradient_only_where_it_makes_things_worse():
    ratios = np.array([0.5, 0.5, 1.0, 1.0, 1.5, 1.5])
    advantages = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    loss, gradient = clipped_surrogate(ratios, advantages, 0.2)
    terms = [0.5, -0.8, 1.0, -1.0, 1.2, -1.5]  # min(r A, clip(r) A), by hand
    assert loss == pytest.approx(-sum(terms) / 6)
    np.testing.assert_allclose(gradient * -6, [0.5, 0, 1.0, -1.0, 0, -1.5])


@with_and_without_masks
@every_network
def test_the_gradient_of_reinforces_loss_from_its_functions_equals_central_differences(network, masked):
    params = random_params(network, 7)
    rng = np.random.default_rng(8)
    observations = rng.normal(size=(ROWS, FEATURES))
    actions = rng.integers(0, ACTIONS, ROWS, dtype=np.int32)
    masks = some_masks(actions, rng) if masked else None
    weights, bonus = rng.normal(size=ROWS), rng.random(ROWS)  # an entropy weight a row

    def loss():
        log_probs = slow_log_probs(slow_forward(params, network, observations)[0], masks)
        taken = log_probs[np.arange(ROWS), actions]
        return -(weights * taken).sum() - (bonus * slow_entropies(log_probs)).sum()

    outputs = Forward(params, network, observations)
    log_probs = slow_log_probs(outputs.outputs, masks)
    value, taken_grad = policy_gradient(log_probs[np.arange(ROWS), actions], weights)
    assert value - (bonus * slow_entropies(log_probs)).sum() == pytest.approx(loss(), rel=1e-12)
    gradient = params.like()
    outputs.backward(gradient, to_logits(log_probs, actions, taken_grad, bonus), np.zeros(ROWS))
    assert_same_gradient(gradient.flat, differences(loss, params.flat))


@with_and_without_masks
@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
@pytest.mark.parametrize("baseline", ["none", "batch_mean"])
@pytest.mark.parametrize("popart", [0.0, 0.3], ids=["plain", "in deviations"])
def test_one_reinforce_step_at_rate_one_moves_by_the_gradient_of_its_loss(popart, baseline, shared, masked):
    # Powers of two, so that the algorithm's float32 advantages are exact.
    rewards = np.array([[1.0, -2.0, 0.5, 4.0], [0.5, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 0.0]])
    lengths, gamma, entropy = (4, 2, 1, 3), 0.5, 0.25
    network = NetworkSpec((5, 4), "tanh", shared)
    params = random_params(network, 9)
    rng = np.random.default_rng(10)
    steps, games = rewards.shape
    valid = np.arange(steps)[:, None] < np.array(lengths)
    observations = rng.normal(size=(steps + 1, games, FEATURES))
    actions = rng.integers(0, ACTIONS, (steps, games), dtype=np.int32)
    masks = some_masks(actions.ravel(), rng).reshape(steps, games, ACTIONS) if masked else None
    ended = np.zeros((steps, games), np.bool_)
    nothing = np.zeros((steps, games))
    batch = Batch(observations, actions, nothing, rewards, ended, ended, valid, masks, games)

    played = [(t, g) for g in range(games) for t in range(lengths[g])]
    to_go = {(t, g): sum(gamma ** (s - t) * rewards[s, g] for s in range(t, lengths[g])) for t, g in played}

    unit = np.std(list(to_go.values())) if popart else 1.0

    def mean_of_others(game):
        others = [value for (_, g), value in to_go.items() if g != game]
        return sum(others) / len(others) if baseline == "batch_mean" else 0.0

    def loss():
        total = 0.0
        for t, g in played:
            mask = None if masks is None else masks[t, g][None]
            log_probs = slow_log_probs(slow_forward(params, network, observations[t, g][None])[0], mask)
            advantage = (to_go[t, g] - mean_of_others(g)) / unit
            total -= log_probs[0, actions[t, g]] * advantage + entropy * slow_entropies(log_probs)[0]
        return total / games

    expected = differences(loss, params.flat)
    before = params.flat.copy()
    config = ReinforceConfig(
        gamma=gamma, baseline=baseline, importance="none", entropy_coef=entropy, max_grad_norm=1e30, popart=popart
    )
    metrics = Reinforce(config, RunSpec(GAME, network)).update(params, SGD(0), batch, 1.0, rng)
    assert_same_gradient(before - params.flat, expected)
    assert metrics["gradient_norm"] == pytest.approx(float(np.linalg.norm(expected)), rel=1e-6)
    assert metrics["effective_rate"] == pytest.approx(1 / games)


def test_by_default_reinforce_climbs_its_own_return_on_games_that_another_version_played():
    """Games of one step, of each action as many as the older version's probabilities say: the expectation itself.

    The gradient of the policy's return is sum_a pi(a) r(a) grad log pi(a), whoever played. No weight is capped. The
    unit is the deviation of the returns.
    """
    network, rng = NetworkSpec((5, 4)), np.random.default_rng(11)
    params, played = random_params(network, 12), np.repeat(np.arange(ACTIONS), [8, 6, 4, 2])
    observation, rewards, behaviour = rng.normal(size=FEATURES), rng.normal(size=ACTIONS), np.array([8, 6, 4, 2]) / 20
    params.views["policy/w2"][...] *= 0.1
    params.views["policy/b2"][...] = np.log([0.25, 0.2, 0.3, 0.25])
    shape = (1, len(played))
    one = np.ones(shape, np.bool_)
    batch = Batch(
        np.broadcast_to(observation, (2, len(played), FEATURES)),
        *(played[None].astype(np.int32), np.log(behaviour)[played][None], rewards[played][None]),
        *(one, ~one, one, None, len(played)),
    )

    def probabilities():
        return np.exp(slow_log_probs(slow_forward(params, network, observation[None])[0], None))[0]

    expected, before = differences(lambda: float(probabilities() @ rewards), params.flat), params.flat.copy()
    config = ReinforceConfig(baseline="none", weight_cap=1e3, entropy_coef=0.0, max_grad_norm=1e30)
    Reinforce(config, RunSpec(GAME, network)).update(params, SGD(0), batch, 1.0, rng)
    assert_same_gradient((params.flat - before) * rewards[played].std(), expected)


# Whatever an action is.


SEVERAL, NUMBERS = MultiDiscrete((3, 2)), Box((-1.0, 0.0, 2.0), (1.0, 5.0, 3.0))
KINDS = {
    "one choice": (Discrete(ACTIONS), False),
    "one masked": (Discrete(ACTIONS), True),
    "several choices": (SEVERAL, False),
    "several masked": (SEVERAL, True),
    "numbers": (NUMBERS, False),
}
SMALL = [NetworkSpec((5, 4), shared=shared) for shared in (False, True)]
every_kind = pytest.mark.parametrize("kind", KINDS)
separate_and_shared = pytest.mark.parametrize("network", SMALL, ids=["separate", "shared"])


def some_actions(actions, rows, rng):
    if isinstance(actions, Box):
        return rng.normal(size=(rows, *actions.shape))
    drawn = np.stack([rng.integers(0, size, rows, dtype=np.int32) for size in actions.sizes], axis=1)
    return drawn.reshape(rows, *actions.shape)


def masks_that_allow(actions, taken, rng):
    """[N, A], random but for the actions taken."""
    masks = rng.random((len(taken), sum(actions.sizes))) < 0.5
    chosen = taken.reshape(len(taken), -1)
    for choice, start in enumerate(np.cumsum(actions.sizes) - actions.sizes):
        masks[np.arange(len(taken)), start + chosen[:, choice]] = True
    return masks


def slow_choice(actions, outputs, log_std, taken, masks):
    """log pi(a|x) and the entropy [N], from the definitions."""
    if isinstance(actions, Box):
        std = np.exp(log_std)
        density = np.exp(-((taken - outputs) ** 2) / (2 * std**2)) / np.sqrt(2 * np.pi * std**2)
        return np.log(density).sum(axis=1), np.full(len(taken), (0.5 * np.log(2 * np.pi * math.e * std**2)).sum())
    log_probs, entropies, start = np.zeros(len(taken)), np.zeros(len(taken)), 0
    chosen = taken.reshape(len(taken), -1)
    for choice, size in enumerate(actions.sizes):
        here = slice(start, start + size)
        part = slow_log_probs(outputs[:, here], None if masks is None else masks[:, here])
        log_probs += part[np.arange(len(taken)), chosen[:, choice]]
        entropies += slow_entropies(part)
        start += size
    return log_probs, entropies


class Case:
    """A kind of action, a network, and ten rows for it."""

    def __init__(self, kind, network, seed):
        rng = np.random.default_rng(seed)
        self.actions, masked = KINDS[kind]
        self.spec = RunSpec(GameSpec("reference", (FEATURES,), self.actions), network)
        self.params = random_params(network, seed, self.spec.game)
        self.observations = rng.normal(size=(10, FEATURES))
        self.taken = some_actions(self.actions, 10, rng)
        self.masks = masks_that_allow(self.actions, self.taken, rng) if masked else None
        # On both sides of a clip at 0.2, with both signs of advantage, none near a kink.
        self.ratios = np.array([0.4, 0.7, 0.9, 0.95, 1.05, 1.1, 1.3, 1.6, 0.6, 1.4])
        self.advantages = np.array([1.0, -1.5, 0.7, -0.4, 1.2, -2.0, 0.9, -1.1, -0.3, 1.7])
        self.targets = rng.normal(size=10)
        self.gradient = self.params.like()
        self.gradient.flat[...] = np.nan

    def slow(self, params=None):
        """log pi(a|x), entropies and values of the rows."""
        params = params or self.params
        outputs, values = slow_forward(params, self.spec.network, self.observations)
        log_std = params.views.get(LOG_STD)
        return *slow_choice(self.actions, outputs, log_std, self.taken, self.masks), values

    def rows(self, log_probs):
        return Minibatch(self.observations, self.taken, log_probs, self.advantages, self.targets, self.masks)


def slow_surrogate(ratios, advantages, clip):
    terms = [min(r * a, min(max(r, 1 - clip), 1 + clip) * a) for r, a in zip(ratios, advantages, strict=True)]
    return -sum(terms) / len(terms)


@every_kind
@separate_and_shared
def test_the_gradient_of_ppos_loss_equals_central_differences_for_every_action_space(kind, network):
    case, config = Case(kind, network, 19), PPOConfig(clip_range=0.2, entropy_coef=0.3, value_coef=0.7)
    played = case.slow()[0] - np.log(case.ratios)

    def loss():
        taken, entropies, values = case.slow()
        policy = slow_surrogate(np.exp(taken - played), case.advantages, 0.2)
        return policy + 0.7 * 0.5 * np.mean((values - case.targets) ** 2) - 0.3 * entropies.mean()

    metrics, log_ratios = ppo.write_gradient(config, case.spec, case.params, case.rows(played), case.gradient)
    np.testing.assert_allclose(np.exp(log_ratios), case.ratios, rtol=1e-9)
    assert metrics["policy_loss"] == pytest.approx(slow_surrogate(case.ratios, case.advantages, 0.2), rel=1e-9)
    assert metrics["entropy"] == pytest.approx(case.slow()[1].mean(), rel=1e-12)
    assert_same_gradient(case.gradient.flat, differences(loss, case.params.flat))


@every_kind
@separate_and_shared
@pytest.mark.parametrize("cap", [1e9, 1.1], ids=["uncapped", "capped"])
def test_the_gradient_of_decoupled_ppo_equals_central_differences(cap, kind, network):
    """E[min(cap, pi_prox / mu) min(r A, clip(r) A)], r = pi / pi_prox (arXiv 2110.00641, eq. 4)."""
    case = Case(kind, network, 21)
    config = PPOConfig(clip_range=0.2, entropy_coef=0.3, value_coef=0.7, decoupled=True, weight_cap=cap)
    proximal = case.params.copy()
    proximal.flat += np.random.default_rng(22).normal(0, 0.15, proximal.flat.size)
    taken_by_proximal = case.slow(proximal)[0]
    played = taken_by_proximal - np.log(case.ratios)  # pi_prox / mu, both below and above the cap
    weights = np.minimum(case.ratios, cap)

    def loss():
        taken, entropies, values = case.slow()
        policy = slow_surrogate(np.exp(taken - taken_by_proximal), weights * case.advantages, 0.2)
        return policy + 0.7 * 0.5 * np.mean((values - case.targets) ** 2) - 0.3 * entropies.mean()

    ratios = np.exp(case.slow()[0] - taken_by_proximal)
    assert (np.abs(ratios - 1) > 0.2).any()
    assert (np.abs(ratios - 1) < 0.2).any()
    rows = ppo.decoupled(case.rows(played), taken_by_proximal, cap)
    ppo.write_gradient(config, case.spec, case.params, rows, case.gradient)
    assert_same_gradient(case.gradient.flat, differences(loss, case.params.flat))


class Spy(SGD):
    """Remembers the parameters after each step."""

    def __init__(self, size):
        super().__init__(size)
        self.seen = []

    def step(self, params, gradient, rate):
        super().step(params, gradient, rate)
        self.seen.append(params.copy())


def some_games(spec, rng, lengths=(4, 2, 1, 3)):
    """A batch of whole games with random behaviour, some over by their rules and some by a limit."""
    shape = (max(lengths), len(lengths))
    valid = np.arange(shape[0])[:, None] < np.array(lengths)
    ended = np.arange(shape[0])[:, None] == np.array(lengths) - 1
    by_rules = ended & (np.arange(shape[1]) % 2 == 0)
    taken = some_actions(spec.game.actions, valid.size, rng).reshape(*shape, *spec.game.actions.shape)
    return Batch(
        observations=rng.normal(size=(shape[0] + 1, shape[1], FEATURES)),
        actions=taken,
        log_probs=np.log(rng.uniform(0.05, 0.6, shape)),
        rewards=rng.normal(size=shape),
        terminated=by_rules,
        truncated=ended & ~by_rules,
        valid=valid,
        masks=None,
        games=len(lengths),
    )


@separate_and_shared
def test_decoupled_ppo_averages_the_weights_after_each_optimizer_step(network):
    spec, rng = RunSpec(GAME, network), np.random.default_rng(24)
    params, mass = random_params(network, 24), 3.0
    config = PPOConfig(decoupled=True, proximal_mass=mass, minibatch_size=3, n_epochs=2)
    algorithm, spy = ppo.PPO(config, spec), Spy(0)
    for _ in range(2):
        algorithm.update(params, spy, some_games(spec, rng), 0.5, rng)
    decay = mass / (mass + 1)  # whose centre of mass, decay / (1 - decay), is the one asked for
    ages = np.arange(len(spy.seen))[::-1]
    weights = decay**ages / (decay**ages).sum()
    assert len(spy.seen) == 2 * 2 * 3
    state = algorithm.state()
    np.testing.assert_allclose(
        state["proximal"] / state["proximal_weight"], weights @ np.array(spy.seen), rtol=1e-6, atol=1e-8
    )


@every_kind
@separate_and_shared
def test_the_gradient_of_the_v_trace_actor_critic_equals_central_differences(kind, network):
    case, config = Case(kind, network, 25), VTraceConfig(entropy_coef=0.3, value_coef=0.7)

    def loss():
        taken, entropies, values = case.slow()
        value = 0.7 * 0.5 * np.mean((values - case.targets) ** 2)
        return -np.mean(case.advantages * taken) + value - 0.3 * entropies.mean()

    actor_critic.write_gradient(config, case.spec, case.params, case.rows(np.zeros(10)), case.gradient)
    assert_same_gradient(case.gradient.flat, differences(loss, case.params.flat))


BARS = {"gamma": 0.9, "rho_bar": 1.1, "c_bar": 0.7}
LAMBDA = 0.8
ONE_STEP = {
    "optimizer": "sgd",
    "n_epochs": 1,
    "minibatch_size": 100,
    "entropy_coef": 0.3,
    "value_coef": 0.7,
    "max_grad_norm": 1e9,
}
TRACED = {
    "v-trace": lambda popart: (
        actor_critic.Impala,
        VTraceConfig(**BARS, gae_lambda=LAMBDA, **ONE_STEP, policy_rho_bar=1.3, popart=popart),
    ),
    # Its first step starts at the proximal policy: no ratio is clipped yet, and the same gradient is left.
    "impact": lambda popart: (
        Impact,
        ImpactConfig(**BARS, gae_lambda=LAMBDA, **ONE_STEP, weight_cap=1.3, popart=popart),
    ),
}


@separate_and_shared
@pytest.mark.parametrize("kind", ["one choice", "several choices", "numbers"])
@pytest.mark.parametrize("popart", [0.0, 0.3], ids=["plain", "popart"])
@pytest.mark.parametrize("algo", TRACED)
def test_one_step_on_v_traces_advantages_at_rate_one_moves_by_the_gradient_of_the_loss(algo, popart, kind, network):
    """The advantages and targets of the paper, both constants, from the values before the step."""
    case, rng = Case(kind, network, 26), np.random.default_rng(27)
    algorithm, config = TRACED[algo](popart)
    batch, spec, params = some_games(case.spec, rng), case.spec, case.params
    t, b = np.nonzero(batch.valid)

    def slow(observations, taken):
        outputs, values = slow_forward(params, spec.network, observations)
        return *slow_choice(spec.game.actions, outputs, params.views.get(LOG_STD), taken, None), values

    log_ratios = np.where(batch.valid, rng.normal(0, 0.6, batch.valid.shape), 0)
    batch.log_probs[t, b] = slow(batch.observations[t, b], batch.actions[t, b])[0] - log_ratios[t, b]
    flat = batch.observations.reshape(-1, FEATURES)
    values = slow_forward(params, spec.network, flat)[1].reshape(len(batch.observations), -1)
    ends = (batch.terminated, batch.truncated, batch.valid)
    trace = vtrace(batch.rewards, values, log_ratios, *ends, **BARS, lambda_=LAMBDA, policy_rho_bar=1.3)
    advantages, targets = trace.advantages[t, b] / trace.advantages[t, b].std(), trace.targets[t, b]
    if popart:  # the network has to give targets in these units from now on
        twin = params.copy()
        scale = ValueScale(popart)
        scale.update(targets, twin.views)
        targets = (targets - targets.mean()) / targets.std()
        start = twin.flat.copy()
    else:
        start = params.flat.copy()

    def loss():
        taken, entropies, values = slow(batch.observations[t, b], batch.actions[t, b])
        return -np.mean(advantages * taken) + 0.35 * np.mean((values - targets) ** 2) - 0.3 * entropies.mean()

    before = params.flat.copy()
    params.flat[...] = start
    expected = differences(loss, params.flat)
    params.flat[...] = before
    algorithm(config, spec).update(params, SGD(0), batch, 1.0, rng)
    np.testing.assert_allclose(start - params.flat, expected, rtol=1e-5, atol=1e-6)


@separate_and_shared
@pytest.mark.parametrize(("games", "every"), [(4, 1), (1500, 2)])  # 10 steps, 3,750 steps
def test_the_kl_metric_of_v_trace_is_the_divergence_caused_by_the_update(games, every, network):
    """Whoever played: the figure that its rate follows is of the update, not the data; of a part of a large batch."""
    spec, rng = RunSpec(GAME, network), np.random.default_rng(30)
    params, batch = random_params(network, 30), some_games(spec, rng, (4, 2, 1, 3) * (games // 4))
    t, b = np.nonzero(batch.valid)

    def taken():
        logits, _ = slow_forward(params, network, batch.observations[t, b])
        return slow_log_probs(logits, None)[np.arange(len(t)), batch.actions[t, b]]

    before = taken()
    metrics = actor_critic.Impala(VTraceConfig(minibatch_size=games), spec).update(params, SGD(0), batch, 0.1, rng)
    moved = (taken() - before)[::every]
    assert np.abs(moved).max() > 1e-3
    assert metrics["kl"] == pytest.approx(np.mean(np.exp(moved) - 1 - moved), rel=1e-6)


@separate_and_shared
@pytest.mark.parametrize("algo", ["ppo", "impact"])
def test_one_decoupled_step_at_rate_one_moves_by_the_gradient_of_its_loss(algo, network):
    """The ratios are against the proximal policy; so are PPO's importance weights, and IMPACT's V-trace."""
    case, rng, cap = Case("one choice", network, 28), np.random.default_rng(29), 1.3
    params, proximal, batch = case.params, case.params.copy(), some_games(case.spec, rng)
    proximal.flat += rng.normal(0, 0.3, proximal.flat.size)
    t, b = np.nonzero(batch.valid)

    def slow(policy):
        outputs, values = slow_forward(policy, network, batch.observations[t, b])
        return *slow_choice(case.actions, outputs, None, batch.actions[t, b], None), values

    flat = batch.observations.reshape(-1, FEATURES)
    values = slow_forward(params, network, flat)[1].reshape(len(batch.observations), -1)
    taken_by_proximal = slow(proximal)[0]
    importance = taken_by_proximal - batch.log_probs[t, b]
    ends = (batch.terminated, batch.truncated, batch.valid)
    if algo == "ppo":
        config = PPOConfig(**ONE_STEP, clip_range=0.2, decoupled=True, weight_cap=cap, popart=0.0)
        algorithm = ppo.PPO(config, case.spec)
        plain = generalized_advantages(batch.rewards, values, *ends, config.gamma, config.gae_lambda)[t, b]
        targets = plain + values[t, b]
        advantages = (plain - plain.mean()) / plain.std() * np.minimum(np.exp(importance), cap)
    else:
        config = ImpactConfig(**ONE_STEP, **BARS, gae_lambda=LAMBDA, clip_range=0.2, weight_cap=cap, popart=0.0)
        algorithm = Impact(config, case.spec)
        log_ratios = np.zeros(batch.valid.shape)
        log_ratios[t, b] = importance
        trace = vtrace(batch.rewards, values, log_ratios, *ends, **BARS, lambda_=LAMBDA, policy_rho_bar=cap)
        targets, advantages = trace.targets[t, b], trace.advantages[t, b] / trace.advantages[t, b].std()
    state = {**algorithm.state(), "proximal": 0.25 * proximal.flat, "proximal_weight": np.array([0.25])}
    algorithm.restore(state, params)

    def loss():
        taken, entropies, values = slow(params)
        policy = slow_surrogate(np.exp(taken - taken_by_proximal), advantages, 0.2)
        return policy + 0.35 * np.mean((values - targets) ** 2) - 0.3 * entropies.mean()

    far = np.abs(np.exp(slow(params)[0] - taken_by_proximal) - 1) > 0.2
    assert {True, False} == set(far)
    assert {True, False} == set(np.exp(importance) > cap)
    expected, before = differences(loss, params.flat), params.flat.copy()
    algorithm.update(params, SGD(0), batch, 1.0, rng)
    np.testing.assert_allclose(before - params.flat, expected, rtol=1e-5, atol=1e-6)


@separate_and_shared
@pytest.mark.parametrize("importance", ["none", "step", "game"])
@pytest.mark.parametrize("baseline", ["batch_mean", "value"])
@pytest.mark.parametrize("popart", [0.0, 0.3], ids=["plain", "popart"])
@pytest.mark.parametrize("kind", ["one choice", "several choices", "numbers"])
def test_one_reinforce_step_moves_by_the_gradient_with_weights_and_baseline_held_constant(
    kind, popart, baseline, importance, network
):
    case, rng = Case(kind, network, 28), np.random.default_rng(29)
    spec, params, lengths, cap = case.spec, case.params, (4, 2, 1, 3), 1.5
    batch = some_games(spec, rng, lengths)
    played = [(t, g) for g in range(4) for t in range(lengths[g])]
    at = tuple(np.array(played).T)

    def slow():
        outputs, values = slow_forward(params, network, batch.observations[:-1][at])
        return *slow_choice(spec.game.actions, outputs, params.views.get(LOG_STD), batch.actions[at], None), values

    taken, _, values = slow()
    # On both sides of the cap, 0.41 as a logarithm, as steps and as games.
    batch.log_probs[at] = taken - [0.3, 0.3, 0.1, -0.1, 0.6, -0.5, 0.2, -0.3, -0.2, 0.1]
    last = batch.observations[lengths, range(4)]
    futures = np.where(batch.truncated.any(axis=0), slow_forward(params, network, last)[1], 0) * (baseline == "value")
    returns = np.array(
        [
            sum(0.9 ** (s - t) * batch.rewards[s, g] for s in range(t, lengths[g]))
            + 0.9 ** (lengths[g] - t) * futures[g]
            for t, g in played
        ]
    )
    ratios = dict(zip(played, np.exp(taken - batch.log_probs[at]), strict=True))
    weight = {
        "none": lambda _: 1.0,
        "step": lambda at: min(cap, ratios[at]),
        "game": lambda at: min(cap, math.prod(ratios[s, at[1]] for s in range(lengths[at[1]]))),
    }[importance]
    weights = np.array([weight(each) for each in played])
    of_others = [returns[[g != game for _, g in played]].mean() for _, game in played]
    mean, unit = (returns.mean(), returns.std()) if popart else (0.0, 1.0)
    fixed = weights * (returns - (values if baseline == "value" else of_others)) / unit
    start = params.copy()
    if popart and baseline == "value":  # the network has to give returns in these units from now on
        ValueScale(popart).update(returns, start.views)

    def loss():
        taken, entropies, values = slow()
        value = 0.7 * 0.5 * np.mean((values - (returns - mean) / unit) ** 2) if baseline == "value" else 0.0
        return -((fixed * taken).sum() + 0.25 * entropies.sum()) / 4 + value

    before = params.flat.copy()
    params.flat[...] = start.flat
    expected = differences(loss, params.flat)
    params.flat[...] = before
    config = ReinforceConfig(
        gamma=0.9,
        baseline=baseline,
        importance=importance,
        weight_cap=cap,
        entropy_coef=0.25,
        value_coef=0.7,
        max_grad_norm=1e30,
        popart=popart,
    )
    Reinforce(config, spec).update(params, SGD(0), batch, 1.0, rng)
    found = start.flat - params.flat
    if popart:  # the statistics are of single precision
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    else:
        assert_same_gradient(found, expected)
    if importance != "none":
        assert {True, False} == {bool(each == cap) for each in weights}


def test_the_squared_error_and_its_gradient_equal_their_definition():
    values, targets = np.array([1.0, 4.0, -2.0]), np.array([0.0, 2.0, 1.0])
    loss, gradient = squared_error(values, targets, 0.5)
    assert loss == pytest.approx(0.5 * (1 + 4 + 9) / 3 / 2)
    np.testing.assert_allclose(gradient, 0.5 * np.array([1.0, 2.0, -3.0]) / 3)


def test_the_kl_estimate_is_exact_in_expectation():
    old, new = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    # Each action as often as the old policy plays it: the sample mean is then the expectation itself.
    log_ratios = np.repeat(np.log(new / old), [5, 3, 2])
    assert kl_k3(log_ratios) == pytest.approx(float((old * np.log(old / new)).sum()), rel=1e-12)


def test_the_mean_entropy_ignores_forbidden_actions():
    rows = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    with np.errstate(divide="ignore"):
        found = Categorical(np.log(rows)).entropy().mean()
    assert found == pytest.approx(math.log(2) / 2)
