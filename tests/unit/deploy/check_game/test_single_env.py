"""What a single environment returns, checked as it is returned."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from support.environments import Plain

from broodmind.common.errors import GameError
from broodmind.deploy.check_game.single_env import of_gymnasium, of_steps


def returning(*, reset=None, step=None):
    class Env(Plain):
        def reset(self, *, seed=None, options=None):
            sound = super().reset(seed=seed, options=options)
            return sound if reset is None else reset

        def step(self, action):
            return super().step(action) if step is None else step

    return Env


SEEN, MASK = np.zeros(2, np.float32), {"action_mask": np.array([1, 0, 0])}


AT_EVERY_STEP = "expected one at every step or none"


def errors(env):
    return [each.text for each in of_steps("mine", env, 1) if each.level == "error"]


def test_a_sound_environment_has_no_error():
    assert not errors(Plain)
    assert [each.level for each in of_gymnasium(Plain, masked=False)] == ["OK"]


@pytest.mark.parametrize(
    ("env", "text"),
    [
        (returning(reset=SEEN), "reset: ndarray, expected 2 values, the last of them a dict"),
        (returning(step=(SEEN, 0.0, False, {})), "step: 4 values, expected 5 values, the last of them a dict"),
        (returning(step=(np.zeros(3), 0.0, False, False, {})), "step: observation: shape (3,), expected (2,)"),
        (returning(step=(SEEN, np.zeros(1), False, False, {})), "reward: ndarray, expected a number"),
        (returning(step=(SEEN, float("nan"), False, False, {})), "reward: nan, expected a finite number"),
        (returning(step=(SEEN, 0.0, 0, False, {})), "terminated: int, expected bool"),
        (returning(step=(SEEN, 0.0, False, False, MASK)), f"action_mask: in the info of step, {AT_EVERY_STEP}"),
        (returning(reset=(SEEN, MASK)), f"action_mask: missing from the info of step, {AT_EVERY_STEP}"),
        (
            returning(reset=(SEEN, {"action_mask": np.ones(5)})),
            "action_mask: 5 values in the info of reset, expected 3, one for each option",
        ),
        (
            returning(reset=(SEEN, MASK), step=(SEEN, 0.0, False, False, {"action_mask": np.zeros(3)})),
            "action_mask: all zeros while the game goes on, expected at least one legal action",
        ),
    ],
)  # fmt: skip
def test_what_it_must_not_return_is_an_error_that_is_said_once(env, text):
    assert errors(env) == [text]


def test_what_gymnasiums_checker_says_is_a_warning():
    found = list(of_gymnasium(returning(step=(SEEN, None, False, False, {})), masked=False))
    assert {(each.level, each.subject) for each in found} == {("warning", "gymnasium")}
    assert any("reward" in each.text for each in found)


class Strict(gymnasium.Env):
    """Raises at an action that its mask forbids: all but that of the step's number."""

    action_space = spaces.Discrete(3)
    observation_space = spaces.Box(-1, 1, (2,))

    def seen(self):
        return SEEN.copy(), {"action_mask": np.eye(3, dtype=np.int8)[self.at % 3]}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at = 0
        return self.seen()

    def step(self, action):
        assert action == self.at % 3
        self.at += 1
        observation, info = self.seen()
        return observation, 1.0, self.at == 50, False, info


class StrictDict(Strict):
    """The same with the mask in its observation."""

    observation_space = spaces.Dict(
        {"observation": Strict.observation_space, "action_mask": spaces.Box(0, 1, (3,), np.int8)}
    )

    def seen(self):
        return {"observation": SEEN.copy(), **super().seen()[1]}, {}


@pytest.mark.parametrize("env", [Strict, StrictDict])
def test_an_environment_that_raises_at_illegal_actions_is_sound(env):
    assert not errors(env)
    assert [each.level for each in of_gymnasium(env, masked=True)] == ["OK"]
    said = " ".join(each.text for each in of_gymnasium(env, masked=False))
    assert "AssertionError" in said  # as Gymnasium's checker knows no masks


def test_an_error_of_close_is_a_warning():
    class Unclosable(Plain):
        def close(self):
            raise OSError("gone")

    assert [each.text for each in of_steps("mine", Unclosable, 1) if each.level == "warning"] == [
        "close() raises OSError: gone"
    ]


def test_an_error_in_a_step_is_raised_with_its_place():
    class Failing(Plain):
        def step(self, action):
            raise KeyError(action)

    with pytest.raises(GameError, match=r"^game mine: KeyError: .*test_single_env.py:\d+, in step\)$"):
        errors(Failing)
