"""The warning of observations that the normaliser clips: which actor, which feature, and not more than now and then."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from support.fake_clock import FakeClock
from support.runs import trajectory

from broodmind.learner.metrics.clipped_observations import WARN_EVERY_S, ClippedObservations

RANGE = (np.array([-10.0, 90.0, -np.inf]), np.array([10.0, 110.0, np.inf]))  # means 0 and 100, deviation 1


def played(value=0.0, feature=0, step=1):
    """Two columns with observations near their means, but for one number."""
    made = trajectory()
    observations = np.zeros_like(made.observations) + np.array([0.0, 100.0, 7.0], np.float32)
    observations[step, 1, feature] = value
    return replace(made, observations=observations)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


def test_the_farthest_number_is_named_with_its_actor_and_feature(warnings):
    ClippedObservations().look([("a", played(200.0)), ("b", played(1e6, 1)), ("c", played(-300.0))], RANGE)
    (line,) = warnings()
    assert line.startswith("an observation is far from all before, and was clipped")
    assert line.endswith("actor=b feature=1 value=1e+06 mean=100 deviation=1")


def test_what_is_near_is_not_warned_of_nor_what_has_no_range(warnings):
    found = ClippedObservations()
    found.look([("a", played(1e6))], None)
    found.look([("a", played(99.0)), ("b", played(1e9, 2))], RANGE)
    assert not warnings()


def test_what_is_not_trained_on_is_not_looked_at(warnings):
    """The last observation is the one after the last step; a step that is not valid is a reset or padding."""
    over = played(1e6, step=2)
    over.valid[2, 1] = False
    ClippedObservations().look([("a", over), ("b", played(1e6, step=-1))], RANGE)
    assert not warnings()


@pytest.mark.parametrize(("look_s", "lines"), [(0.0, 1), (WARN_EVERY_S, 5)])
def test_there_is_at_most_one_warning_a_minute(warnings, monkeypatch, look_s, lines):
    monkeypatch.setattr("broodmind.common.process.clock.monotonic_s", FakeClock(look_s=look_s))
    found = ClippedObservations()
    for _ in range(5):
        found.look([("a", played(1e6))], RANGE)
    assert len(warnings()) == lines
