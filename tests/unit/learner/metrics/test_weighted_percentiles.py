from __future__ import annotations

import numpy as np

from broodmind.learner.metrics.weighted_percentiles import weighted_percentiles


def test_they_are_those_of_the_values_written_out():
    rng = np.random.default_rng(1)
    for _ in range(50):
        values, counts = rng.integers(0, 20, 30), rng.integers(1, 50, 30)
        each = np.repeat(values, counts)
        p50, p95 = np.percentile(each, [50, 95], method="inverted_cdf")
        assert weighted_percentiles(values.tolist(), counts.tolist()) == {"p50": p50, "p95": p95, "max": values.max()}


def test_one_value_is_all_of_them():
    assert weighted_percentiles([3], [7]) == {"p50": 3, "p95": 3, "max": 3}
