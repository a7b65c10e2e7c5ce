"""The learner's log-probabilities are those that the actors stored, in all that actors make of their play."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.drift import DRIFT, Drift, moved, seen

from broodmind.actors.client.episode import Episode, ErrorPolicy
from broodmind.actors.client.packing import to_header, to_trajectory
from broodmind.actors.fragment_parts import in_parts
from broodmind.actors.inference.policy import Policy
from broodmind.actors.rollout import make_rollout
from broodmind.common.policy.network import prepare
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.common.wire.trajectory import decode_trajectory, encode_trajectory
from broodmind.common.wire.weights import Pointer, decode_weights, digest
from broodmind.learner.algorithms.batch import collate
from broodmind.learner.algorithms.batch_predictions import action_log_probs
from broodmind.learner.algorithms.impact.config import ImpactConfig
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.trainer import Trainer, WarmStart
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig

LENGTH = 5  # games of the client have 1 to 12 steps, so they have up to 3 fragments
CONFIGS = {
    "ppo": PPOConfig(),
    "decoupled": PPOConfig(decoupled=True),
    "impact": ImpactConfig(),
    "vtrace": VTraceConfig(),
    "reinforce": ReinforceConfig(),
}
ONE_PASS = {
    "ppo": PPOConfig(n_epochs=1, minibatch_size=10**6),
    "vtrace": VTraceConfig(n_epochs=1, minibatch_size=10**6),
    "reinforce": ReinforceConfig(importance="game"),
}


def run_spec(unroll, correlation=0.9):
    # As many steps as a whole game may have, but for one that is truncated there.
    length = 11 if unroll == "games" else LENGTH
    network = NetworkSpec((16,), normalize_observations=True)
    return RunSpec(DRIFT, network, RolloutSpec(unroll, length, noise_correlation=correlation))


def version(trainer, spec):
    weights = trainer.weights()
    return Policy(Pointer(1, 1, "c", "d", 0), decode_weights(weights, digest(weights), spec), spec)


def trainer_of(spec, config, shift=0.0):
    """A trainer whose policy's means depend on what is seen, and are shifted."""
    trainer = Trainer(spec, config)
    first = version(trainer, spec).params
    trainer.start_from(WarmStart({"policy/w1": 40 * first["policy/w1"], "policy/b1": first["policy/b1"] + shift}))
    return trainer


def policy_of(spec):
    return version(trainer_of(spec, PPOConfig()), spec)


def rollouts(policy, spec, copies=6, fragments=40):
    rollout = make_rollout(Drift(copies), spec, 1, np.random.default_rng(2))
    found = []
    while len(found) < fragments:
        found += rollout.play(policy)
    return [fragment.trajectory for fragment in found]


def parts(policy, spec):
    """Fragments whose columns are sent apart."""
    rollout = make_rollout(Drift(6), spec, 1, np.random.default_rng(2))
    whole = [fragment for _ in range(10) for fragment in rollout.play(policy)]
    return [part.trajectory for each in whole for part in in_parts(each, [np.arange(0, 2), np.arange(2, 6)])]


def clients(policy, spec, games=25):
    """The games of a client, several in an entry, as the learner decodes them."""
    left, rng = [], np.random.default_rng(3)
    for number in range(games):
        take = lambda _, ended: left.append(ended.game)  # noqa: E731
        random = np.random.default_rng((4, number))
        episode = Episode(str(number), {}, policy, lambda *_: None, random, ErrorPolicy(), take)
        position = rng.normal(size=(1, 2))
        for age in range(int(rng.integers(1, 13))):
            position = moved(position, episode.act(seen(position, np.array([age]))[0])[None])
        episode.end("truncated" if number % 2 else "loss", observation=seen(position, np.array([age + 1]))[0])
    found = []
    for first in range(0, games, 5):
        packed = left[first : first + 5]
        played = to_trajectory(packed)
        encoded = encode_trajectory(played, "a", spec)
        found.append(decode_trajectory(encoded, to_header(packed, played, 0, None), "a", spec))
    return found


WAYS = pytest.mark.parametrize(
    ("play", "unroll"),
    [(rollouts, "steps"), (rollouts, "games"), (parts, "steps"), (clients, "steps"), (clients, "games")],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)


def recomputed(policy, batch, where):
    """The log-probabilities of steps as the learner computes them, with the weights of a version."""
    shape = batch.observations.shape
    rows = prepare(policy.params, batch.observations.reshape(-1, shape[-1])).reshape(shape)
    correlation = policy.spec.rollout.noise_correlation
    prepared = replace(batch, observations=rows, noise_correlation=correlation)
    history = prepared.history(where)
    return action_log_probs(policy.params, policy.spec, rows[:-1][where], batch.actions[where], None, history)


@WAYS
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_under_the_weights_that_played_the_learner_finds_what_the_actors_stored(play, unroll, correlation):
    spec = run_spec(unroll, correlation)
    policy = policy_of(spec)
    trajectories = play(policy, spec)
    assert any(each.terminated.any() for each in trajectories)
    assert any(each.truncated.any() for each in trajectories)
    for batch in (collate(trajectories), *(collate([each]) for each in trajectories)):
        found = recomputed(policy, batch, batch.valid)
        np.testing.assert_allclose(found, batch.log_probs[batch.valid], rtol=1e-3, atol=2e-3)
    assert sum(each.steps for each in trajectories) > 100


@pytest.mark.parametrize("play", [rollouts, clients])
def test_a_step_after_one_that_is_too_stale_still_follows_on_it(play):
    spec = run_spec("steps")
    policy = policy_of(spec)
    trajectories = play(policy, spec)
    fresh = [np.random.default_rng(7).random(each.valid.shape) < 0.6 for each in trajectories]
    batch = collate(trajectories, fresh).without_stale_steps()
    assert 0 < batch.steps < sum(each.steps for each in trajectories)
    found = recomputed(policy, batch, batch.valid)
    np.testing.assert_allclose(found, batch.log_probs[batch.valid], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("algorithm", CONFIGS)
def test_an_update_on_the_newest_play_begins_with_ratios_of_one(algorithm):
    spec = run_spec("games" if algorithm == "reinforce" else "steps")
    metrics = trainer_of(spec, CONFIGS[algorithm]).update(collate(rollouts(policy_of(spec), spec)))
    assert metrics["effective_samples"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("algorithm", ONE_PASS)
def test_an_update_on_older_play_knows_the_steps_before(algorithm):
    """With one minibatch and one pass: the ratios are those to what was stored, given the steps before."""
    spec = run_spec("games" if algorithm == "reinforce" else "steps")
    trainer = trainer_of(spec, ONE_PASS[algorithm], shift=1)
    batch = collate(rollouts(policy_of(spec), spec))
    log_ratios = recomputed(version(trainer, spec), batch, batch.valid).astype(float) - batch.log_probs[batch.valid]
    expected = np.exp(log_ratios).sum() ** 2 / (len(log_ratios) * np.exp(2 * log_ratios).sum())
    assert expected < 0.95
    assert trainer.update(batch)["effective_samples"] == pytest.approx(expected, abs=1e-3)


def test_the_weight_of_a_whole_game_counts_its_stale_steps_given_those_before():
    """On the newest play all ratios are 1, so weights of games change nothing."""
    spec = run_spec("games")
    trajectories = rollouts(policy_of(spec), spec)
    fresh = [np.random.default_rng(8).random(each.valid.shape) < 0.6 for each in trajectories]
    batch, updated = collate(trajectories, fresh), []
    for importance in ("game", "none"):
        trainer = trainer_of(spec, ReinforceConfig(optimizer="sgd", learning_rate=0.1, importance=importance))
        trainer.update(batch)
        updated.append(version(trainer, spec).params)
    assert np.abs(updated[0]["policy/w1"] - policy_of(spec).params["policy/w1"]).max() > 1e-3
    np.testing.assert_allclose(updated[0]["policy/w1"], updated[1]["policy/w1"], atol=1e-4)


@WAYS
def test_the_steps_without_one_before_them_are_the_first_of_games_and_fragments(play, unroll):
    spec = run_spec(unroll)
    trajectories = play(policy_of(spec), spec)
    batch = replace(collate(trajectories), noise_correlation=0.9)
    history, starts = batch.history(batch.valid), np.argwhere(batch.valid)
    for known, before, taken, (t, column) in zip(
        history.known, history.observations, history.actions, starts, strict=True
    ):
        assert known == (t > 0 and batch.valid[t - 1, column])
        if known:
            np.testing.assert_array_equal(before, batch.observations[t - 1, column])
            np.testing.assert_array_equal(taken, batch.actions[t - 1, column])
    some = history[np.array([3, 1])]
    np.testing.assert_array_equal(some.actions, history.actions[[3, 1]])
    np.testing.assert_array_equal(some.known, history.known[[3, 1]])
    assert collate(trajectories).history(batch.valid) is None  # noise that is independent depends on no step
