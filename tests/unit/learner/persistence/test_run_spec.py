"""What of a run's stored spec a learner takes over, so that a run of an earlier version goes on."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from support.runs import SPEC

from broodmind.common.server.keys import Keys
from broodmind.learner.ledger.counters import Counters
from broodmind.learner.ledger.head import Head
from broodmind.learner.persistence.checkpoints import Checkpoints
from broodmind.learner.persistence.run_snapshot import RunSnapshot
from broodmind.learner.persistence.run_spec import agree_on_spec, as_run_was_started


class Stored:
    """A server with a run's spec, or without one."""

    def __init__(self, spec):
        self.raw = None if spec is None else spec.to_json().encode()

    def call(self, command, *_):
        assert command == "HGET"
        return self.raw


def with_noise(correlation, **changed):
    return replace(SPEC, rollout=replace(SPEC.rollout, noise_correlation=correlation, **changed))


def started(spec, ours, checkpoints=None):
    return as_run_was_started(Stored(spec), Keys("r"), ours, checkpoints)


def test_a_run_that_was_started_with_correlated_noise_goes_on_with_it_and_warns(caplog):
    earlier = with_noise(0.9, high_water=7)
    with caplog.at_level(logging.WARNING):
        taken = started(earlier, SPEC)
    assert (taken, taken.digest) == (earlier, earlier.digest)
    assert "noise_correlation=0.9" in caplog.text
    agree_on_spec(Stored(earlier), Keys("r"), taken)
    caplog.clear()
    assert started(earlier, taken) == taken  # as after a lost connection
    assert not caplog.text


def test_a_server_that_has_lost_the_run_is_filled_with_the_spec_of_its_checkpoint(tmp_path):
    Checkpoints(tmp_path, 1).save(RunSnapshot(Head(1, 2, "c"), Counters(), b"l", b"w"), with_noise(0.9))
    assert started(None, SPEC, tmp_path) == with_noise(0.9)
    assert started(None, SPEC) == SPEC


@pytest.mark.parametrize(("stored", "ours"), [(None, 0.0), (0.0, 0.0), (0.0, 0.5), (0.9, 0.5)])
def test_other_settings_stay(caplog, stored, ours):
    assert started(None if stored is None else with_noise(stored), with_noise(ours)) == with_noise(ours)
    assert not caplog.text
