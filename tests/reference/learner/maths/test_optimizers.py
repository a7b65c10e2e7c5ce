"""Optimizers against the algorithms as printed."""

import math

import numpy as np
import pytest

from broodmind.learner.maths.optimizers import SGD, Adam, RMSProp, clip_norms_apart, make_optimizer

SIZE, STEPS = 50, 200


def gradients(seed, dtype=np.float64):
    """Over ten orders of magnitude, as a network's are; some exactly 0."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-8, 2, SIZE)
    result = rng.normal(0.3, 1.0, (STEPS, SIZE)) * scale
    result[:, 0] = 0.0
    result[:5, 1] = 0.0
    return result.astype(dtype)


def adam_as_printed(params, steps, rates, beta1, beta2, epsilon):
    """Algorithm 1 of arXiv 1412.6980, one number at a time. Yields the parameters after each step."""
    theta, m, v = list(params), [0.0] * len(params), [0.0] * len(params)
    for t, (gradient, alpha) in enumerate(zip(steps, rates, strict=True), start=1):
        for i, g in enumerate(gradient):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            m_hat = m[i] / (1 - beta1**t)
            v_hat = v[i] / (1 - beta2**t)
            theta[i] -= alpha * m_hat / (math.sqrt(v_hat) + epsilon)
        yield np.array(theta)


@pytest.mark.parametrize(
    ("beta1", "beta2", "epsilon"),
    [(0.9, 0.999, 1e-5), (0.9, 0.999, 1e-8), (0.9, 0.999, 0.3), (0.5, 0.9, 1e-3), (0.0, 0.99, 1e-5)],
)
def test_adam_is_algorithm_1_of_the_paper(beta1, beta2, epsilon):
    start, steps = np.random.default_rng(1).normal(size=SIZE), gradients(2)
    rates = np.linspace(1e-2, 1e-3, STEPS)
    params, adam = start.copy(), Adam(SIZE, beta1, beta2, epsilon, dtype=np.float64)
    expected = adam_as_printed(start, steps, rates, beta1, beta2, epsilon)
    for gradient, rate, printed in zip(steps, rates, expected, strict=True):
        adam.step(params, gradient.copy(), rate)
        np.testing.assert_allclose(params - start, printed - start, rtol=1e-9, atol=1e-12)
    assert params[0] == start[0]
    assert (params[1:] != start[1:]).all()


def test_adam_in_float32_differs_from_the_paper_by_rounding_only():
    start, steps = np.random.default_rng(3).normal(size=SIZE).astype(np.float32), gradients(4, np.float32)
    params, adam, rate = start.copy(), Adam(SIZE), 1e-2
    *_, printed = adam_as_printed(start.tolist(), steps.tolist(), [rate] * STEPS, 0.9, 0.999, 1e-5)
    for gradient in steps:
        adam.step(params, gradient.copy(), rate)
    assert params.dtype == np.float32
    # STEPS roundings of a parameter of size about 1, each of half a unit in the last place, and as much for its step.
    assert np.abs(params - printed).max() < STEPS * np.finfo(np.float32).eps


def test_adams_first_step_is_the_rate_in_the_direction_of_the_sign():
    params = np.zeros(3)
    Adam(3, epsilon=1e-12, dtype=np.float64).step(params, np.array([5.0, -0.01, 0.0]), 0.1)
    np.testing.assert_allclose(params, [-0.1, 0.1, 0.0], rtol=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sgd_equals_its_definition(momentum):
    start, steps = np.random.default_rng(5).normal(size=SIZE), gradients(6)
    sgd = SGD(SIZE, momentum, dtype=np.float64)
    params, expected, velocity = start.copy(), start.copy(), np.zeros(SIZE)
    for t, gradient in enumerate(steps):
        rate = 1e-3 / (1 + t)
        velocity = momentum * velocity + gradient
        expected -= rate * velocity
        sgd.step(params, gradient.copy(), rate)
        np.testing.assert_allclose(params - start, expected - start, rtol=1e-9, atol=1e-12)


def test_momentum_reaches_the_sum_of_the_geometric_series():
    sgd, params = SGD(1, 0.5), np.zeros(1, np.float32)
    moved = []
    for _ in range(40):
        before = params.copy()
        sgd.step(params, np.ones(1, np.float32), 1.0)
        moved.append(float((before - params)[0]))
    assert moved[:3] == [1.0, 1.5, 1.75]
    assert moved[-1] == 2.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Adam(SIZE),
        lambda: Adam(SIZE, decay=0.1),
        lambda: RMSProp(SIZE),
        lambda: SGD(SIZE),
        lambda: SGD(SIZE, 0.9),
    ],
    ids=["adam", "adamw", "rmsprop", "sgd", "momentum"],
)
def test_a_restored_optimizer_continues_bit_for_bit(make):
    steps = gradients(7, np.float32)
    params, optimizer = np.zeros(SIZE, np.float32), make()
    for gradient in steps[:20]:
        optimizer.step(params, gradient.copy(), 1e-2)
    state, kept = optimizer.state(), params.copy()
    snapshot = {name: value.copy() for name, value in state.items()}
    for gradient in steps[20:40]:
        optimizer.step(params, gradient.copy(), 1e-2)
    for name, value in state.items():
        np.testing.assert_array_equal(value, snapshot[name], err_msg=f"{name}: the state is no copy")

    successor = make()
    successor.step(kept.copy(), steps[-1].copy(), 1.0)  # it has had a life of its own
    successor.restore(state)
    for gradient in steps[20:40]:
        successor.step(kept, gradient.copy(), 1e-2)
    assert kept.tobytes() == params.tobytes()
    for name, value in state.items():
        np.testing.assert_array_equal(value, snapshot[name], err_msg=f"{name}: restore kept a hand on it")
    assert {name: value.tobytes() for name, value in successor.state().items()} == {
        name: value.tobytes() for name, value in optimizer.state().items()
    }


def test_the_state_of_a_fresh_optimizer_is_not_that_of_a_used_one():
    adam = Adam(SIZE)
    adam.step(np.zeros(SIZE, np.float32), gradients(8, np.float32)[0], 1e-2)
    assert adam.state()["steps"].tolist() == [1]
    assert all(value.any() for value in adam.state().values())


def test_optimizers_are_made_by_name():
    assert type(make_optimizer("adam", 3)) is Adam
    assert type(make_optimizer("sgd", 3)) is SGD
    assert [make_optimizer("adam", 3).state()[name].size for name in ("mean", "square")] == [3, 3]


def test_a_gradient_longer_than_the_limit_is_scaled_to_it_in_its_direction():
    gradient = np.array([3.0, 4.0, 12.0])
    assert clip_norms_apart([[gradient]], 6.5) == [13.0]
    np.testing.assert_allclose(gradient, [1.5, 2.0, 6.0], rtol=1e-15)


def test_a_gradient_whose_square_overflows_single_precision_is_clipped():
    gradient = np.array([3e20, 4e20], np.float32)
    with np.errstate(over="ignore"):
        assert clip_norms_apart([[gradient]], 5.0) == [pytest.approx(5e20)]
    np.testing.assert_allclose(gradient, [3.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize("limit", [5.0, 5.1, math.inf])
def test_a_gradient_within_the_limit_is_left_as_it_is(limit):
    gradient = np.array([3.0, -4.0])
    assert clip_norms_apart([[gradient]], limit) == [5.0]
    assert gradient.tolist() == [3.0, -4.0]


def test_a_zero_gradient_has_norm_zero_and_is_not_changed():
    gradient = np.zeros(4)
    assert clip_norms_apart([[gradient]], 0.5) == [0.0]
    assert not gradient.any()


def test_each_part_is_scaled_to_the_limit_by_its_own_norm():
    small, long, rest = np.array([0.3, 0.4]), np.array([0.0, 60.0]), np.array([80.0])
    assert clip_norms_apart([[small], [long, rest]], 5.0) == [0.5, 100.0]
    assert small.tolist() == [0.3, 0.4]
    np.testing.assert_allclose(np.concatenate([long, rest]), [0.0, 3.0, 4.0], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_infinite_gradient_has_an_infinite_norm(dtype):
    with np.errstate(invalid="ignore"):
        assert clip_norms_apart([[np.array([np.inf, 1.0], dtype)]], 5.0) == [math.inf]


def adamw_as_printed(params, steps, rates, decay):
    """Algorithm 2 of arXiv 1711.05101, one number at a time: `rates` for its alpha eta, `decay` for lambda."""
    theta, m, v = list(params), [0.0] * len(params), [0.0] * len(params)
    for t, (gradient, alpha) in enumerate(zip(steps, rates, strict=True), start=1):
        for i, g in enumerate(gradient):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            m_hat, v_hat = m[i] / (1 - 0.9**t), v[i] / (1 - 0.999**t)
            theta[i] -= alpha * (m_hat / (math.sqrt(v_hat) + 1e-5) + decay * theta[i])
        yield np.array(theta)


@pytest.mark.parametrize("decay", [0.01, 0.3])
def test_adamw_is_algorithm_2_of_its_paper(decay):
    start, steps = np.random.default_rng(11).normal(size=SIZE), gradients(12)
    rates = np.linspace(1e-2, 1e-3, STEPS)
    params, adam = start.copy(), Adam(SIZE, decay=decay, dtype=np.float64)
    for gradient, rate, printed in zip(steps, rates, adamw_as_printed(start, steps, rates, decay), strict=True):
        adam.step(params, gradient.copy(), rate)
        np.testing.assert_allclose(params, printed, rtol=1e-9, atol=1e-12)
    # Where no gradient ever came the weights still decay; in Adam with an L2 penalty they would not, by this much.
    assert params[0] == pytest.approx(start[0] * np.prod(1 - rates * decay), rel=1e-12)


def rmsprop_as_printed(params, steps, rates, rho, epsilon):
    """Tieleman and Hinton 2012, lecture 6.5, slide 29, one number at a time, with epsilon beside the root."""
    theta, square = list(params), [0.0] * len(params)
    for gradient, alpha in zip(steps, rates, strict=True):
        for i, g in enumerate(gradient):
            square[i] = rho * square[i] + (1 - rho) * g * g
            theta[i] -= alpha * g / (math.sqrt(square[i]) + epsilon)
        yield np.array(theta)


@pytest.mark.parametrize(("rho", "epsilon"), [(0.99, 1e-5), (0.9, 1e-2), (0.0, 1e-5)])
def test_rmsprop_equals_the_formula_of_the_lecture(rho, epsilon):
    start, steps = np.random.default_rng(13).normal(size=SIZE), gradients(14)
    rates = np.linspace(1e-2, 1e-3, STEPS)
    params, rmsprop = start.copy(), RMSProp(SIZE, rho, epsilon, dtype=np.float64)
    expected = rmsprop_as_printed(start, steps, rates, rho, epsilon)
    for gradient, rate, printed in zip(steps, rates, expected, strict=True):
        rmsprop.step(params, gradient.copy(), rate)
        np.testing.assert_allclose(params - start, printed - start, rtol=1e-9, atol=1e-12)
    assert params[0] == start[0]


def test_each_named_optimizer_has_its_documented_constants():
    """A run that names an optimizer must find the same one in every version."""
    gradient, rate = np.array([1.0, -3.0], np.float32), 0.5

    def after_two(optimizer):
        params = np.array([2.0, -2.0], np.float32)
        for _ in range(2):
            optimizer.step(params, gradient.copy(), rate)
        return params.tolist()

    assert type(make_optimizer("rmsprop", 2)) is RMSProp
    for name, explicit in (
        ("adam", Adam(2, 0.9, 0.999, 1e-5)),
        ("adamw", Adam(2, 0.9, 0.999, 1e-5, decay=0.01)),
        ("rmsprop", RMSProp(2, 0.99, 1e-5)),
        ("sgd", SGD(2, momentum=0.9)),
    ):
        assert after_two(make_optimizer(name, 2)) == after_two(explicit), name
