"""The believable range: right for normal numbers whatever a minority of bad ones is, infinite where it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.learner.maths.outliers import believable_range


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e8])
def test_of_normal_numbers_it_is_mean_plus_and_minus_so_many_deviations(size):
    rows = np.random.default_rng(1).normal([0.0, 7.0], [1.0, 3.0], (100_000, 2)) * size
    low, high = believable_range(rows.astype(np.float32), 10)
    np.testing.assert_allclose(low / size, [-10, 7 - 30], rtol=0.02)
    np.testing.assert_allclose(high / size, [10, 7 + 30], rtol=0.02)


@pytest.mark.parametrize("bad", [1e6, -3e38, 50.0])
def test_a_minority_of_bad_numbers_moves_it_little(bad):
    rows = np.random.default_rng(2).normal(size=(10_000, 1))
    rows[:2000] = bad
    low, high = believable_range(rows, 10)
    assert -16 < low[0] < -8
    assert 8 < high[0] < 16


@pytest.mark.parametrize(
    "rows",
    [np.array([[0.0]] * 99 + [[5.0]]), np.arange(31.0)[:, None]],
    ids=["most are equal", "too few"],
)
def test_it_is_infinite_where_nothing_can_be_told(rows):
    low, high = believable_range(rows, 10)
    assert (low.tolist(), high.tolist()) == ([-np.inf], [np.inf])
