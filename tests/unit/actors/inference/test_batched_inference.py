"""Batched inference: several episodes side by side do what each would have done alone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from broodmind.actors.client.episode import Episode, ErrorPolicy, FallbackAction
from broodmind.actors.inference.batched_inference import run_inference
from broodmind.actors.inference.policy import Policy
from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.policy.network import initial_params
from broodmind.common.spec import GameSpec, NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.weights import Pointer

TOY = GameSpec("toy", (2, 3), Discrete(4))
MASKED = replace(TOY, masked=True)
SEVERAL = replace(TOY, actions=MultiDiscrete((3, 2)), masked=True)
NUMBERS = replace(TOY, actions=Box((-1.0, 0.0), (1.0, 5.0)))
GAMES, STEPS = 7, 12


def policy_of(game, version=1, correlation=0.0, change=lambda _: None):
    spec = RunSpec(game, NetworkSpec((16,), "relu"), RolloutSpec(noise_correlation=correlation))
    params = initial_params(spec.network, spec.game, np.random.default_rng(version))
    params["policy/w1"] *= 200  # far from uniform: another's row would show
    change(params)
    return Policy(Pointer(1, version, "commit", "digest", 1), params, spec)


def begin(policy, seed, left):
    rng = np.random.default_rng(seed)
    return Episode(str(seed), {}, policy, lambda *_: -1, rng, ErrorPolicy(), lambda _, ended: left.append(ended))


def shown(game, seed, step):
    """What a game shows: observation and mask."""
    rng = np.random.default_rng((seed, step))
    seen = rng.standard_normal(game.observation_shape)
    if not game.masked:
        return seen, None
    mask = rng.random(sum(game.actions.sizes)) < 0.6
    mask[[0, -1]] = True
    return seen, mask


@pytest.mark.parametrize(
    ("game", "correlation"), [(TOY, 0.0), (MASKED, 0.0), (SEVERAL, 0.0), (NUMBERS, 0.0), (NUMBERS, 0.9)]
)
def test_in_a_batch_each_episode_gets_the_action_it_would_get_alone(game, correlation):
    policies = [policy_of(game, version, correlation) for version in (1, 2)]
    left_alone, left_together = [], []
    alone = [begin(policies[seed % 2], seed, left_alone) for seed in range(GAMES)]
    together = [begin(policies[seed % 2], seed, left_together) for seed in range(GAMES)]
    for step in range(STEPS):
        actions = [episode.act(*shown(game, seed, step)) for seed, episode in enumerate(alone)]
        present = [seed for seed in range(GAMES) if (seed + step) % 3]  # another company at each step
        actions_together = {
            seed: move
            for group in (present, sorted(set(range(GAMES)) - set(present)))
            for seed, move in zip(
                group, run_inference([together[seed].ask(*shown(game, seed, step)) for seed in group]), strict=True
            )
        }
        for seed, move in enumerate(actions):
            np.testing.assert_allclose(actions_together[seed], move, rtol=1e-4, atol=1e-4)
    for episode in itertools.chain(alone, together):
        episode.end("loss")
    for one, other in zip(left_alone, left_together, strict=True):
        assert one.game.buffer.steps == STEPS
        np.testing.assert_allclose(other.game.buffer.log_probs, one.game.buffer.log_probs, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(other.game.buffer.actions, one.game.buffer.actions, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(other.game.buffer.observations, one.game.buffer.observations)


def test_a_row_that_is_excluded_from_training_does_not_affect_other_rows():
    left = []
    policy = policy_of(TOY, change=lambda params: params["policy/w0"].fill(2))
    episodes = [begin(policy, seed, left) for seed in range(3)]
    vast = np.full((2, 3), 3e38)
    actions = run_inference([episode.ask(vast if n == 1 else np.ones((2, 3))) for n, episode in enumerate(episodes)])
    assert actions[1] == -1
    assert all(move in range(4) for move in (actions[0], actions[2]))
    for episode in episodes:
        episode.end("win")
    assert [ended.record.trained_on for ended in left] == [True, False, True]
    assert "more than the policy can take" in left[1].record.reason


def test_without_a_policy_a_fallback_action_is_asked_for():
    assert begin(None, 1, []).ask([1]) == FallbackAction(-1)
    assert run_inference([]) == []


def test_actions_of_a_batch_are_distributed_as_the_policy_says():
    policy = policy_of(MASKED, change=lambda params: np.multiply(params["policy/w1"], 0.01, params["policy/w1"]))
    seen, mask = np.full((2, 3), 0.3), np.array([True, True, False, True])
    count = 4000
    left = []
    episodes = [begin(policy, seed, left) for seed in range(count)]
    actions = np.bincount(run_inference([episode.ask(seen, mask) for episode in episodes]), minlength=4)
    chances = np.zeros(4)
    for episode in episodes:
        episode.end("loss")
    for ended in left:
        chances[ended.game.buffer.actions[0]] = np.exp(ended.game.buffer.log_probs[0])
    assert actions[2] == 0
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    spread = np.sqrt(count * chances * (1 - chances))
    assert (abs(actions - count * chances) <= 4.5 * spread).all(), (actions, count * chances)
