"""Action masks as environments give them: in infos that know which copies gave one, or beside the observation."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from broodmind.actors.games.adapter.action_masks import masks_of
from broodmind.actors.games.gymnasium_adapter import GymnasiumGame
from broodmind.common.actions import Discrete, MultiDiscrete

GOES_ON, ENDED = np.array([False, False]), np.array([False, True])


def test_a_game_that_has_ended_may_give_no_mask():
    infos = {"action_mask": np.array([[1, 0], [0, 0]]), "_action_mask": np.array([True, False])}
    assert masks_of(infos, Discrete(2), ENDED).tolist() == [[True, False], [True, True]]
    assert masks_of({}, Discrete(2), np.array([True, True])).all()


@pytest.mark.parametrize(
    "infos", [{}, {"action_mask": None}, {"action_mask": np.ones((2, 2)), "_action_mask": np.array([True, False])}]
)
def test_a_game_that_goes_on_must_have_one(infos):
    with pytest.raises(ValueError, match=r"^action_mask: missing, expected one at every step"):
        masks_of(infos, Discrete(2), GOES_ON)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"^action_mask: 3 numbers, expected 2, one for each option$"):
        masks_of({"action_mask": np.ones((2, 3))}, Discrete(2), GOES_ON)


@pytest.mark.parametrize(
    ("actions", "masks", "where"),
    [
        (Discrete(2), [[1, 0], [0, 0]], "in copy 1"),
        (MultiDiscrete((2, 3)), [[1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], "of choice 1 in copy 0"),
    ],
)
def test_a_mask_that_allows_nothing_is_refused_while_the_game_goes_on(actions, masks, where):
    with pytest.raises(ValueError, match=rf"^action_mask: allows no option {where}, expected at least one"):
        masks_of({"action_mask": np.array(masks)}, actions, GOES_ON)
    assert (
        masks_of({"action_mask": np.array(masks)}, actions, np.array([True, True])).sum() == {2: 3, 5: 9}[len(masks[0])]
    )


def test_a_mask_for_each_of_several_choices():
    masks = np.empty(2, object)
    masks[:] = [(np.array([1, 0]), np.array([0, 1, 1])), (np.array([0, 1]), np.array([1, 0, 0]))]
    expected = [[True, False, False, True, True], [False, True, True, False, False]]
    assert masks_of({"action_mask": masks}, MultiDiscrete((2, 3)), GOES_ON).tolist() == expected
    together = (np.array([[1, 0], [0, 1]]), np.array([[0, 1, 1], [1, 0, 0]]))
    assert masks_of({"action_mask": together}, MultiDiscrete((2, 3)), GOES_ON).tolist() == expected


class Beside(gymnasium.Env):
    """Shows the mask in a dict, as PettingZoo does. Only the action of the step's number is legal."""

    action_space = spaces.Discrete(3)
    observation_space = spaces.Dict(
        {"observation": spaces.Box(-1, 1, (2,)), "action_mask": spaces.Box(0, 1, (3,), np.int8)}
    )

    def seen(self):
        return {"observation": np.zeros(2, np.float32), "action_mask": np.eye(3, dtype=np.int8)[self.at % 3]}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at = 0
        return self.seen(), {}

    def step(self, action):
        assert action == self.at % 3
        self.at += 1
        return self.seen(), 1.0, self.at == 4, False, {}


def test_a_mask_in_a_dict_of_observations_is_used_as_such():
    game = GymnasiumGame("beside", SyncVectorEnv([Beside, Beside]))
    assert (game.spec.masked, game.spec.observation_shape) == (True, (2,))
    step = game.reset(1)
    for _ in range(4):
        step = game.step(step.masks.argmax(axis=1).astype(np.int32))
    assert step.terminated.all()
