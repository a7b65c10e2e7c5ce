"""The two states that a learner keeps to go back to: what is read is what was stored."""

from __future__ import annotations

import numpy as np
import pytest
from support.runs import SPEC

from broodmind.common.errors import WireError
from broodmind.common.wire import codec
from broodmind.learner.algorithms.ppo.config import PPOConfig
from broodmind.learner.algorithms.trainer import Trainer
from broodmind.learner.run.restore_point import KeptState, RestorePoint

TRAINER = Trainer(SPEC, PPOConfig())
STATE = KeptState(7, TRAINER.weights(), codec.encode(TRAINER.state()))


@pytest.mark.parametrize("best", [None, KeptState(3, b"w", b"t")])
def test_what_is_stored_is_what_is_read(best):
    point = RestorePoint(best, STATE)
    assert RestorePoint.decode(point.encode()) == point


def test_a_kept_state_is_all_that_a_trainer_goes_on_from():
    heir = Trainer(SPEC, PPOConfig())
    heir.restore(STATE.params(SPEC), STATE.trainer_state())
    assert heir.weights() == TRAINER.weights()
    assert codec.encode(heir.state()) == STATE.trainer


def stored(**changed):
    fields = {"version": 7, "weights": b"w", "trainer": b"t"}
    return codec.encode({"format": 1, "best": None, "current": fields, **changed})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected whole msgpack"),
        (stored(format=2), "format"),
        (stored(current=None), "expected a map"),
        (stored(best=3), "expected a map"),
        (stored(best={"version": 7}), "weights"),
        (stored(current={"version": -1, "weights": b"", "trainer": b""}), "version"),
        (stored(current={"version": 1, "weights": np.zeros(2), "trainer": b""}), "weights"),
        (stored(more=1), "more"),
    ],
)
def test_what_is_none_is_refused(data, message):
    with pytest.raises(WireError, match=message):
        RestorePoint.decode(data)
