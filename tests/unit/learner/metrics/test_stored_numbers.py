"""Numbers of a stored history that no learner can have written: they are refused, and not gone on with."""

from __future__ import annotations

import math

import pytest

from broodmind.common.wire import codec
from broodmind.learner.metrics.begin_order import BeginOrder
from broodmind.learner.metrics.label_figures import LabelFigures
from broodmind.learner.metrics.own_metrics import OwnMetricsHistory
from broodmind.learner.metrics.stored_numbers import finite


@pytest.mark.parametrize("number", [0, -3, 2.5])
def test_a_finite_number_is_taken_as_it_is(number):
    assert finite(number) is number


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, b"1"])
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match="expected a finite number"):
        finite(value)


@pytest.mark.parametrize("count", [1e40, "1"])
def test_a_count_is_an_integer(count):
    """As an integer, 1e40 could not be stored again."""
    with pytest.raises(TypeError):
        OwnMetricsHistory(100).restore({"values": {}, "ignored": count})
    with pytest.raises(TypeError):
        LabelFigures().restore({"map": [["Flat", count, 1.0, 1.0, 1]]})
    with pytest.raises(TypeError):
        BeginOrder().restore(
            codec.decode(codec.encode({**BeginOrder().state(), "metrics": [[count, {}]]}), max_bytes=1000)
        )


@pytest.mark.parametrize("mean", [math.nan, "1"])
def test_a_mean_is_finite(mean):
    with pytest.raises(TypeError):
        LabelFigures().restore({"map": [["Flat", 3, mean, 1.0, 1]]})
