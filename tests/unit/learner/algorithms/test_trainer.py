"""The trainer: restored it goes on bit for bit, undone it is as it was, and its parts fit together."""

from dataclasses import replace

import numpy as np
import pytest

from broodmind.common.actions import Box, Discrete, MultiDiscrete
from broodmind.common.errors import ConfigError, WireError
from broodmind.common.policy.network import MEAN, SCALE
from broodmind.common.spec import GameSpec, NetworkSpec, RunSpec
from broodmind.common.wire import codec
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.batch import Batch
from broodmind.learner.algorithms.impact.config import ImpactConfig
from broodmind.learner.algorithms.learning_rate import LearningRateConfig
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.registry import make_algorithm
from broodmind.learner.algorithms.reinforce.config import ReinforceConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.algorithms.vtrace_actor_critic.config import VTraceConfig
from broodmind.learner.metrics.update_metrics import NonFinite

FEATURES = 3
ONE, SEVERAL, NUMBERS = Discrete(4), MultiDiscrete((3, 2)), Box((-1.0, 0.0), (1.0, 2.0))
MOVING = LearningRateConfig(
    warmup_updates=3, anneal_steps=500, kl_target=0.01, learning_rate_scaling="sqrt", reference_steps=40
)
CONFIGS = {
    "ppo": (PPOConfig(minibatch_size=16, popart=0.0), ONE),
    "ppo-several": (PPOConfig(minibatch_size=16, popart=0.0, optimizer="rmsprop"), SEVERAL),
    "ppo-decoupled-popart": (PPOConfig(minibatch_size=16, decoupled=True, popart=0.1, optimizer="adamw"), ONE),
    "ppo-decoupled": (PPOConfig(minibatch_size=16, popart=0.0, decoupled=True), ONE),
    "ppo-rates": (PPOConfig(minibatch_size=16, popart=0.0, schedule=MOVING), NUMBERS),
    "reinforce-value": (ReinforceConfig(baseline="value"), ONE),
    "reinforce-average": (ReinforceConfig(baseline="moving_average", optimizer="sgd"), ONE),
    "impact": (ImpactConfig(minibatch_size=16, popart=0.0), SEVERAL),
    "vtrace": (VTraceConfig(minibatch_size=16), ONE),
    "vtrace-popart": (VTraceConfig(minibatch_size=16, popart=0.1, optimizer="sgd"), NUMBERS),
}
every_config = pytest.mark.parametrize("name", CONFIGS)


def spec_of(actions, *, shared=False):
    return RunSpec(
        GameSpec("trained", (FEATURES,), actions),
        NetworkSpec((6, 5), shared=shared, normalize_observations=True),
        seed=5,
    )


def fresh(name):
    config, actions = CONFIGS[name]
    return Trainer(spec_of(actions), config)


def a_batch(seed, actions=ONE, columns=6, **changes):
    """Whole games of up to ten steps, played by nobody in particular; observations far from normal."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 11, columns)
    shape = (10, columns)
    valid = np.arange(10)[:, None] < lengths
    ended = np.arange(10)[:, None] == lengths - 1
    by_rules = ended & (rng.random(columns) < 0.5)
    if isinstance(actions, Box):
        taken = rng.normal(size=(*shape, *actions.shape)).astype(np.float32)
    else:
        parts = [rng.integers(0, size, shape, dtype=np.int32) for size in actions.sizes]
        taken = np.stack(parts, axis=-1).reshape(*shape, *actions.shape)
    batch = Batch(
        observations=rng.normal([5.0, -100.0, 0.0], [1.0, 30.0, 0.1], (11, columns, FEATURES)).astype(np.float32),
        actions=taken,
        log_probs=np.log(rng.uniform(0.1, 0.4, shape)).astype(np.float32),
        rewards=rng.normal(2, 3, shape).astype(np.float32),
        terminated=by_rules,
        truncated=ended & ~by_rules,
        valid=valid,
        masks=None,
        games=columns,
    )
    return replace(batch, **changes)


class WatchedAlgorithm:
    """An algorithm that notes what each update is given, and whether it moved the parameters before it ended."""

    def __init__(self, config, spec):
        self.whole = make_algorithm(config, spec)
        self.state, self.restore = self.whole.state, self.whole.restore
        self.observations, self.moved = [], []

    def update(self, params, optimizer, batch, rate, rng):
        before = params.flat.copy()
        self.observations.append(batch.observations)
        try:
            return self.whole.update(params, optimizer, batch, rate, rng)
        finally:
            self.moved.append(not np.array_equal(params.flat, before))


def batch_for(name, seed):
    return a_batch(seed, CONFIGS[name][1])


def params_of(trainer, spec):
    """The parameters that a trainer publishes."""
    weights = trainer.weights()
    return decode_weights(weights, digest(weights), spec)


def as_bytes(state):
    """All of a state, to compare."""
    return codec.encode(state)


def successor_of(trainer, name):
    """A fresh trainer that takes over by what is stored, as after a restart."""
    weights = trainer.weights()
    raw = codec.decode(codec.encode({"trainer": trainer.state()}), max_bytes=1 << 20)["trainer"]
    config, actions = CONFIGS[name]
    spec = spec_of(actions)
    result = Trainer(spec, config)
    result.update(batch_for(name, 99))  # it has had a life of its own
    result.restore(decode_weights(weights, digest(weights), spec), raw)
    return result


@every_config
@pytest.mark.parametrize("updates", [0, 1, 3])
def test_a_restored_trainer_continues_bit_for_bit(name, updates):
    trainer = fresh(name)
    for number in range(updates):
        trainer.update(batch_for(name, number))
    successor = successor_of(trainer, name)
    assert successor.weights() == trainer.weights()
    assert as_bytes(successor.state()) == as_bytes(trainer.state())
    for number in range(10, 12):
        before = trainer.weights()
        assert successor.update(batch_for(name, number)) == trainer.update(batch_for(name, number))
        assert successor.weights() == trainer.weights() != before
        assert as_bytes(successor.state()) == as_bytes(trainer.state())


@every_config
def test_a_factor_multiplies_the_rate(name):
    trainer, slower = fresh(name), fresh(name)
    slower.rate_factor = 0.25
    rates = [each.update(batch_for(name, 1))["effective_rate"] for each in (trainer, slower)]
    assert rates[1] == pytest.approx(rates[0] / 4, rel=0.5)  # what is clipped differs from the second pass on
    assert trainer.weights() != slower.weights()


@every_config
def test_a_trainer_that_goes_back_has_all_of_the_state_but_progress_and_random_numbers(name):
    trainer = fresh(name)
    trainer.update(batch_for(name, 1))
    weights, kept = trainer.weights(), trainer.state()
    raw = codec.decode(codec.encode(kept), max_bytes=1 << 24)
    trainer.update(batch_for(name, 2))
    last = trainer.state()
    trainer.go_back(decode_weights(weights, digest(weights), spec_of(CONFIGS[name][1])), raw)
    now = trainer.state()
    assert trainer.weights() == weights
    assert now["rates"].tolist() == [*last["rates"][:2], kept["rates"][2]]
    assert now["rng"] == last["rng"]
    parts = {"rates", "rng"}
    assert as_bytes({part: each for part, each in now.items() if part not in parts}) == as_bytes(
        {part: each for part, each in kept.items() if part not in parts}
    )


@every_config
def test_the_seed_and_the_batches_determine_the_weights(name):
    first, second = fresh(name), fresh(name)
    config, actions = CONFIGS[name]
    other = Trainer(replace(spec_of(actions), seed=6), config)
    assert first.weights() == second.weights()
    for number in range(2):
        for trainer in (first, second, other):
            trainer.update(batch_for(name, number))
    assert first.weights() == second.weights()
    ours, theirs = params_of(first, spec_of(actions)), params_of(other, replace(spec_of(actions), seed=6))
    assert not all(np.array_equal(ours[name], theirs[name]) for name in ours if name not in {MEAN, SCALE})


@every_config
def test_the_state_is_a_copy(name):
    trainer = fresh(name)
    trainer.update(batch_for(name, 0))
    state = trainer.state()
    kept = as_bytes(state)
    trainer.update(batch_for(name, 1))
    assert as_bytes(state) == kept != as_bytes(trainer.state())


@pytest.mark.parametrize(
    ("theirs", "ours", "says"),
    [
        (PPOConfig(), ReinforceConfig(), "algo: reinforce, expected ppo"),
        (PPOConfig(), VTraceConfig(), "algo: vtrace, expected ppo"),
        (VTraceConfig(), PPOConfig(), "algo: ppo, expected vtrace"),
        (PPOConfig(), PPOConfig(optimizer="sgd"), "optimizer: sgd, expected adam,"),
        (PPOConfig(optimizer="rmsprop"), PPOConfig(optimizer="adamw"), "optimizer: adamw, expected rmsprop"),
    ],
)
def test_a_state_of_another_algorithm_or_optimizer_is_refused_with_both_names(theirs, ours, says):
    spec = spec_of(ONE)
    trainer, successor = Trainer(spec, theirs), Trainer(spec, ours)
    weights = trainer.weights()
    raw = codec.decode(codec.encode({"trainer": trainer.state()}), max_bytes=1 << 20)["trainer"]
    before = successor.weights()
    with pytest.raises(ConfigError, match=f"^{says}"):
        successor.restore(decode_weights(weights, digest(weights), spec), raw)
    assert successor.weights() == before


@pytest.mark.parametrize("part", ["optimizer", "algo", "arrays", "algorithm", "normaliser", "rates", "rng"])
def test_a_state_with_a_part_missing_is_refused_by_its_name(part):
    trainer = fresh("ppo")
    weights = trainer.weights()
    raw = codec.decode(codec.encode({"trainer": trainer.state()}), max_bytes=1 << 20)["trainer"]
    del raw[part]
    with pytest.raises(WireError, match=rf"missing fields \['{part}'\]"):
        trainer.restore(decode_weights(weights, digest(weights), spec_of(ONE)), raw)


@pytest.mark.parametrize(("part", "field"), [("arrays", "mean"), ("normaliser", "mean"), ("algorithm", "proximal")])
def test_a_state_of_another_size_is_refused(part, field):
    trainer = fresh("ppo-decoupled-popart")
    weights, state = trainer.weights(), trainer.state()
    state[part][field] = np.zeros(7, state[part][field].dtype)
    raw = codec.decode(codec.encode({"trainer": state}), max_bytes=1 << 20)["trainer"]
    with pytest.raises(WireError):
        trainer.restore(decode_weights(weights, digest(weights), spec_of(ONE)), raw)


# An update that would ruin the weights.


def huge_rewards(batch):
    return replace(batch, rewards=np.full_like(batch.rewards, 1e38))


def one_huge_reward(batch):
    """Its square overflows, in the minibatch that has it: others may have moved the weights by then."""
    rewards = batch.rewards.copy()
    rewards[0, 0] = 1e30
    return replace(batch, rewards=rewards)


def one_infinite_reward(batch):
    rewards = batch.rewards.copy()
    rewards[0, 0] = np.inf
    return replace(batch, rewards=rewards)


# With PopArt the targets are normalised, in double precision: 1e38 is still a number then.
@pytest.mark.parametrize(
    ("name", "ruin"),
    [(name, one_infinite_reward) for name in CONFIGS]
    + [(name, huge_rewards) for name in CONFIGS if name != "vtrace-popart"],
)
def test_an_update_that_is_not_finite_raises_and_is_undone(name, ruin):
    trainer, twin = fresh(name), fresh(name)
    for number in range(2):
        trainer.update(batch_for(name, number))
        twin.update(batch_for(name, number))
    weights, state = trainer.weights(), as_bytes(trainer.state())
    with np.errstate(all="ignore"), pytest.raises(NonFinite, match="expected a finite number"):
        trainer.update(ruin(batch_for(name, 2)))
    assert trainer.weights() == weights
    assert as_bytes(trainer.state()) == state
    for number in range(3, 5):  # and it goes on as if nothing had been
        assert trainer.update(batch_for(name, number)) == twin.update(batch_for(name, number))
    assert trainer.weights() == twin.weights()


@pytest.mark.parametrize("name", ["ppo", "ppo-several", "ppo-decoupled", "ppo-rates", "impact", "vtrace"])
def test_an_update_that_fails_half_way_is_undone_completely(name):
    """The steps before the bad minibatch have moved weights, optimizer, proximal policy and generator."""
    config, actions = CONFIGS[name]
    watched = WatchedAlgorithm(config, spec_of(actions))
    trainer = Trainer(spec_of(actions), config, watched)
    trainer.update(batch_for(name, 0))
    weights, state = trainer.weights(), as_bytes(trainer.state())
    for seed in range(1, 9):
        with np.errstate(all="ignore"), pytest.raises(NonFinite):
            trainer.update(one_huge_reward(batch_for(name, seed)))
        assert trainer.weights() == weights
        assert as_bytes(trainer.state()) == state
    assert any(watched.moved[1:])


@pytest.mark.parametrize("name", ["ppo-rates", "vtrace-popart"])
def test_an_update_returns_finite_metrics_or_raises(name):
    batch = batch_for(name, 1)
    batch.log_probs[0, 0] = -100.0  # two numbers: as low as the wire lets through
    try:
        with np.errstate(all="ignore"):
            metrics = fresh(name).update(batch)
    except NonFinite:
        return
    assert all(np.isfinite(value) for value in metrics.values()), metrics


# The parts together.


def carried(trainer, spec):
    params = params_of(trainer, spec)
    return params[MEAN], params[SCALE]


def test_the_normaliser_is_published_with_the_weights_and_counts_the_valid_steps_of_all_batches():
    spec = spec_of(ONE)
    trainer = Trainer(spec, PPOConfig(minibatch_size=16))
    assert [each.tolist() for each in carried(trainer, spec)] == [[0.0] * 3, [1.0] * 3]
    batches = [a_batch(seed) for seed in range(3)]
    for batch in batches:
        trainer.update(batch)
    rows = np.concatenate([batch.observations[:-1][batch.valid] for batch in batches]).astype(np.float64)
    mean, scale = carried(trainer, spec)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, 1 / rows.std(axis=0), rtol=1e-6)


def test_an_update_normalises_observations_as_the_actors_did():
    spec = spec_of(ONE)
    config = PPOConfig(minibatch_size=16)
    watched = WatchedAlgorithm(config, spec)
    trainer = Trainer(spec, config, watched)
    first, second = a_batch(0), a_batch(1)
    trainer.update(first)
    mean, scale = carried(trainer, spec)
    trainer.update(second)
    expected = np.clip(first.observations, -10, 10)  # ten deviations, as in network.py
    np.testing.assert_allclose(watched.observations[0], expected)
    expected = np.clip((second.observations - mean) * scale, -10, 10)
    np.testing.assert_allclose(watched.observations[1], expected, rtol=1e-6, atol=1e-6)
    assert first.observations.min() < -10  # and the batch itself is left as it was


def test_without_a_normaliser_the_weights_have_no_normaliser_fields():
    spec = replace(spec_of(ONE), network=NetworkSpec((6, 5)))
    trainer = Trainer(spec, PPOConfig(minibatch_size=16))
    trainer.update(a_batch(0))
    assert not {MEAN, SCALE} & params_of(trainer, spec).keys()


@pytest.mark.parametrize("config", [PPOConfig, ImpactConfig, ReinforceConfig, VTraceConfig])
def test_the_rate_follows_from_batch_size_and_progress(config):
    rates = LearningRateConfig("linear", 100, warmup_updates=4, anneal_steps=1000)
    trainer = Trainer(spec_of(ONE), config(learning_rate=0.01, max_grad_norm=1e9, schedule=rates))
    trained = 0
    for number in range(6):
        batch = a_batch(number)
        metrics = trainer.update(batch)
        expected = 0.01 * (batch.steps / 100) * min(1, (number + 1) / 4) * (1 - trained / 1000)
        games = batch.games if config is ReinforceConfig else 1
        assert metrics["effective_rate"] * games == pytest.approx(expected, rel=1e-9)
        trained += batch.steps


@pytest.mark.parametrize("config", [PPOConfig, ImpactConfig, ReinforceConfig, VTraceConfig])
def test_old_steps_weigh_less_in_the_policys_gradient_each_by_its_own_age(config):
    """Half for each version, in the same batch: an update is the sum of what its games give, each by its weight."""
    options = {"optimizer": "sgd", "entropy_coef": 0.0, "value_coef": 0.0, "max_grad_norm": 1e9, "learning_rate": 10.0}
    if not config.WHOLE_EPISODES:
        options |= {"n_epochs": 1, "minibatch_size": 1000, "popart": 0.0}
    spec, batch = spec_of(ONE), a_batch(1, columns=2)

    def move(*ages, stale_factor=0.5):
        trainer = Trainer(spec, config(schedule=LearningRateConfig(stale_factor=stale_factor), **options))
        before = params_of(trainer, spec)
        trainer.update(replace(batch, ages=np.broadcast_to(np.array(ages, np.int32), batch.valid.shape)))
        after = params_of(trainer, spec)
        return np.concatenate([(after[name] - before[name]).ravel() for name in before if name not in {MEAN, SCALE}])

    newest, first_older, second_older = move(0, 0), move(1, 0), move(0, 1)
    size = np.abs(newest).max()
    exactly = {"rtol": 0, "atol": 1e-4 * size}  # single precision
    np.testing.assert_allclose(first_older + second_older, 1.5 * newest, **exactly)
    np.testing.assert_allclose(move(2, 2), newest / 4, **exactly)
    np.testing.assert_allclose(move(9, 9), newest / 16, **exactly)
    np.testing.assert_allclose(move(2, 2, stale_factor=1.0), newest, **exactly)
    assert np.abs(first_older - second_older).max() > 0.05 * size


def test_the_rate_follows_the_kl_divergence_of_the_previous_update():
    # Nothing in these batches is near the policy's own probabilities: the divergence is always above the target.
    trainer = Trainer(spec_of(ONE), PPOConfig(learning_rate=1e-4, schedule=LearningRateConfig(kl_target=1e-4)))
    rates = [trainer.update(a_batch(seed))["effective_rate"] for seed in range(3)]
    assert rates == pytest.approx([1e-4, 1e-4 / 1.5, 1e-4 / 1.5**2])
    low = Trainer(spec_of(ONE), PPOConfig(learning_rate=1e-4, schedule=LearningRateConfig(kl_target=1e4)))
    assert [low.update(a_batch(seed))["effective_rate"] for seed in range(3)] == pytest.approx(
        [1e-4, 1.5e-4, 1.5**2 * 1e-4]
    )


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (PPOConfig(), "ppo"),
        (ImpactConfig(), "impact"),
        (ReinforceConfig(), "reinforce"),
        (VTraceConfig(), "vtrace"),
    ],
)
def test_the_description_names_the_algorithm_and_is_flat(config, name):
    described = Trainer(spec_of(ONE), config).describe()
    assert described["algo"] == name
    assert (described["learning_rate"], described["learning_rate_scaling"]) == (config.learning_rate, "none")
    assert described["optimizer"] == "adam"
    assert not any(isinstance(value, dict) for value in described.values())


def test_a_moving_average_that_version_0_1_stored_goes_on():
    """It wrote no weight: what its games had in the average is all of it."""
    trainer, spec = fresh("reinforce-average"), spec_of(ONE)
    weights, state = trainer.weights(), trainer.state()
    state["algorithm"] = {"average": np.full(1, 40.0)}
    raw = codec.decode(codec.encode({"trainer": state}), max_bytes=1 << 20)["trainer"]
    trainer.restore(decode_weights(weights, digest(weights), spec), raw)
    assert trainer.update(a_batch(1, columns=1))["baseline"] == 40.0
    assert trainer.state()["algorithm"]["average"][0] == pytest.approx(40, abs=5)


def with_bad_observations(batch, value=1e6):
    observations = batch.observations.copy()
    observations[2, 1] = value
    return replace(batch, observations=observations)


def test_the_share_of_clipped_observations_is_a_metric_where_there_is_a_normaliser():
    trainer = fresh("ppo")
    batches = [a_batch(seed, columns=200) for seed in range(3)]
    assert [trainer.update(batch)["observations_clipped"] for batch in batches] == [0, 0, 0]
    assert trainer.clipped_to is None
    bad = with_bad_observations(a_batch(4, columns=200))
    assert trainer.update(bad)["observations_clipped"] == pytest.approx(1 / bad.steps)
    assert (trainer.clipped_to[1] < 1e3).all()
    spec = spec_of(ONE)
    plain = Trainer(replace(spec, network=replace(spec.network, normalize_observations=False)), PPOConfig())
    assert "observations_clipped" not in plain.update(a_batch(5))


@every_config
def test_forgotten_moments_change_nothing_until_the_next_batch_replaces_them(name):
    """Not what is published, and so not what actors and learner compute from it."""
    trainer, actions = fresh(name), CONFIGS[name][1]
    bad = with_bad_observations(a_batch(0, actions))
    trainer.update(replace(bad, rewards=bad.rewards * 1e6))
    published = decode_weights(weights := trainer.weights(), digest(weights), spec_of(actions))
    trainer.forget_moments()
    for array_name, array in params_of(trainer, spec_of(actions)).items():
        np.testing.assert_allclose(array, published[array_name], rtol=1e-6, err_msg=array_name)
    batch = a_batch(1, actions, columns=200)
    trainer.update(batch)
    rows = batch.observations[:-1][batch.valid]
    after = params_of(trainer, spec_of(actions))
    np.testing.assert_allclose(after[MEAN], rows.mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(1 / after[SCALE], rows.std(axis=0, dtype=np.float64), rtol=1e-4)
    state = trainer.state()["algorithm"]
    weights = {key: state[key][0] for key in ("weight", "return_weight") if key in state}
    if name == "reinforce-average":
        assert weights.pop("weight") == 0  # there are no values
    assert set(weights.values()) == {trainer.describe()["popart"]}  # as after a single update


def test_moments_that_were_forgotten_are_so_for_a_successor_too():
    trainer = fresh("vtrace-popart")
    trainer.update(batch_for("vtrace-popart", 0))
    trainer.forget_moments()
    successor = successor_of(trainer, "vtrace-popart")
    batch = batch_for("vtrace-popart", 1)
    assert successor.update(batch) == trainer.update(batch)
    assert successor.weights() == trainer.weights()


def test_a_state_from_before_reinforce_measured_its_returns_goes_on():
    """Of version 0.1: the value head gave V itself, and goes on from that."""
    name, spec = "reinforce-value", spec_of(ONE)
    old = Trainer(spec, ReinforceConfig(baseline="value", popart=0.0))
    old.update(batch_for(name, 0))
    raw = codec.decode(codec.encode(old.state()), max_bytes=1 << 20)
    for field in ("average_weight", "moments", "weight", "return_moments", "return_weight"):
        del raw["algorithm"][field]
    trainer = fresh(name)
    trainer.restore(params_of(old, spec), raw)
    state = trainer.state()["algorithm"]
    assert (state["moments"].tolist(), state["weight"].tolist()) == ([0.0, 1.0], [0.0])
    trainer.update(batch_for(name, 1))
    assert trainer.state()["algorithm"]["return_weight"].tolist() == [0.03]
