"""What is done about a collapse of the return: going back, how often, and when it was not the policy's fault."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import SPEC

from broodmind.common.wire import codec
from broodmind.common.wire.weights import decode_weights, digest
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.ledger.head import Head
from broodmind.learner.run.collapse import BLOCK_GAMES, BLOCK_VERSIONS
from broodmind.learner.run.collapse_response import PASSED_OVER_MOST, RESTORATIONS_MOST, CollapseResponse

LOCK_STEP = replace(SPEC, rollout=replace(SPEC.rollout, lock_step=True))


class Run:
    """A run whose policy plays as is said, and whose parameters are the number of the last block."""

    def __init__(self, mode="restore", spec=SPEC):
        self.trainer = Trainer(spec, PPOConfig())
        self.response = CollapseResponse(mode, spec, self.trainer)
        self.mode, self.spec, self.version = mode, spec, 0
        self.set(0)
        self.publish()

    def set(self, value, **state):
        params = decode_weights(self.trainer.weights(), digest(self.trainer.weights()), self.spec)
        self.trainer.restore({name: np.full_like(each, value) for name, each in params.items()}, self.state(**state))

    def state(self, **changed):
        """The trainer's, as it is decoded from what is stored."""
        return codec.decode(codec.encode({**self.trainer.state(), **changed}), max_bytes=1 << 20)

    @property
    def value(self):
        weights = self.trainer.weights()
        (value,) = {
            float(number)
            for each in decode_weights(weights, digest(weights), self.spec).values()
            for number in each.flat
        }
        return value

    def publish(self):
        self.version += 1
        self.response.publish(Head(1, self.version, f"c{self.version}"))

    def block(self, mean, value=None):
        """Play a block, after which the parameters are `value`, unless the run goes back."""
        rng = np.random.default_rng(self.version)
        self.response.arrive([(self.version, mean + 0.1 * rng.standard_normal()) for _ in range(BLOCK_GAMES)])
        if value is not None:
            self.set(value)
        for _ in range(BLOCK_VERSIONS):
            self.publish()

    def learn(self):
        for number, mean in enumerate((0.0, 0.5, 1.0), 1):
            self.block(mean, number)

    def heir(self):
        """A learner that goes on with what this one has stored."""
        other = Run.__new__(Run)
        other.trainer = Trainer(self.spec, PPOConfig())
        other.response = CollapseResponse(self.mode, self.spec, other.trainer)
        other.mode, other.spec, other.version = self.mode, self.spec, self.version
        other.set(self.value)
        state = codec.decode(codec.encode(self.response.state()), max_bytes=1 << 20)
        other.response.restore(state, self.response.stored)
        return other


def test_a_run_goes_back_to_the_state_in_which_its_best_block_began_with_half_the_rate():
    run = Run()
    run.learn()
    run.block(0.9, 50)
    run.block(0.1, 60)
    assert (run.value, run.trainer.rate_factor, run.response.warning) == (60, 1, "")
    version = run.version
    run.block(0.1, 70)
    assert (run.value, run.trainer.rate_factor) == (2, 0.5)
    assert run.response.counts() == {"collapses": 1, "restorations": 1}
    assert "went back to the best state (version" in run.response.gauges()["warning_collapse"]
    assert run.version == version + BLOCK_VERSIONS
    assert run.response.oldest_version == run.version
    run.block(0.9)
    assert run.response.warning == ""
    assert run.value == 2


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_a_run_that_shall_not_go_back_does_not(mode):
    run = Run(mode)
    run.learn()
    for _ in range(4):
        run.block(0.1, 60)
    assert (run.value, run.trainer.rate_factor, run.response.oldest_version) == (60, 1, 0)
    assert run.response.stored == b""
    assert run.response.take_unsaved() is None
    if mode == "off":
        assert (run.response.counts(), run.response.state(), run.response.warning) == ({}, {}, "")
        return
    assert run.response.counts() == {"collapses": 1, "restorations": 0}
    assert "the return has collapsed (version" in run.response.warning
    run.block(0.9)
    assert run.response.warning == ""


def test_a_return_that_does_not_come_back_was_not_the_policys_fault():
    run = Run()
    run.learn()
    for _ in range(4):
        run.block(0.1, 60)
    assert "the game has changed" in run.response.warning
    assert (run.value, run.trainer.rate_factor) == (60, 1)
    assert run.response.counts() == {"collapses": 1, "restorations": 1}
    run.block(0.1, 70)
    assert run.response.warning == ""
    run.block(0.6, 80)  # what is learnt from now on is kept again
    run.block(0.1, 90)
    run.block(0.1, 90)
    assert run.value == 70


def test_after_so_many_restorations_without_a_new_best_it_only_warns():
    run = Run()
    run.learn()
    for number in range(1, RESTORATIONS_MOST + 3):
        run.block(0.1)
        run.block(0.1, 60)
        tries = min(number, RESTORATIONS_MOST)
        assert run.response.counts() == {"collapses": number, "restorations": tries}
        assert (run.value == 2) == (number <= RESTORATIONS_MOST)
        assert run.trainer.rate_factor == 0.5**tries
        run.block(0.9)
    run.block(1.5, 7)
    run.block(0.1)
    run.block(0.1, 60)
    assert run.response.counts()["restorations"] == RESTORATIONS_MOST + 1


def test_an_heir_goes_on_wherever_a_learner_was_killed():
    def play(*, relayed):
        run, found = Run(), []
        for number, mean in enumerate((0.0, 0.5, 1.0, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.5)):
            run.block(mean, number)
            if relayed:
                run = run.heir()
            found.append((run.value, run.trainer.rate_factor, codec.encode(run.response.state()), run.response.stored))
        return found

    alone = play(relayed=False)
    assert play(relayed=True) == alone
    assert {rate for _, rate, *_ in alone} == {1.0, 0.5, 0.25}


@pytest.mark.parametrize("lost", [True, False])
def test_without_what_was_kept_the_next_block_is_the_first(caplog, lost):
    run = Run()
    run.learn()
    other = CollapseResponse("restore", SPEC, run.trainer)
    other.restore(run.response.state(), b"" if lost else Run().response.stored)
    assert "is not there" in caplog.text
    assert other.state() == {}
    run.response = other
    run.publish()
    for mean in (0.1, 0.1, 0.1):
        run.block(mean, 60)
    assert run.value == 60


def test_a_state_is_stored_once_a_block_and_again_where_the_server_may_have_lost_it():
    run = Run()
    first = run.response.take_unsaved()
    assert first == run.response.stored
    assert run.response.take_unsaved() is None
    run.publish()
    assert run.response.take_unsaved() is None
    run.response.save_again()
    assert run.response.take_unsaved() == first
    run.block(0.0)
    assert run.response.take_unsaved() not in {None, first}
    run.response.forget()
    run.response.save_again()
    assert run.response.take_unsaved() is None


def test_schedules_go_on_after_a_restoration_and_random_numbers_are_new_ones():
    run = Run()
    run.learn()
    drawn = Trainer(replace(SPEC, seed=7), PPOConfig()).state()["rng"]
    assert drawn != run.trainer.state()["rng"]
    run.set(60, rates=np.array([30.0, 4000.0, 0.5]), rng=drawn)
    run.block(0.1)
    run.block(0.1)
    assert run.response.counts()["restorations"] == 1
    assert run.trainer.state()["rates"].tolist() == [30, 4000, 1]
    assert run.trainer.state()["rng"] == drawn


def test_play_of_before_a_restoration_is_passed_over_but_not_for_ever_and_not_in_lock_step():
    for spec in (SPEC, LOCK_STEP):
        run = Run(spec=spec)
        run.learn()
        run.block(0.1)
        run.block(0.1)
        assert run.response.counts()["restorations"] == 1
        assert run.response.oldest_version == (0 if spec is LOCK_STEP else run.version)
    run = Run()
    run.response.oldest_version = 9
    run.response.pass_over(PASSED_OVER_MOST - 1)
    assert run.response.oldest_version == 9
    run.response.pass_over(1)
    assert run.response.oldest_version == 0
