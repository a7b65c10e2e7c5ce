"""What is said of a game that was played: numbers, rewards, ends, and whether the seed decides it."""

from __future__ import annotations

import threading

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from broodmind.actors.games.gymnasium_adapter import GymnasiumGame
from broodmind.deploy.check_game.play import findings_of, play, reproduces, threads_left


class Shown(gymnasium.Env):
    """Shows random numbers; ends at random, on average after five steps."""

    observation_space, action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)
    scale, reward, length = 1.0, 1.0, None

    def seen(self):
        return (self.scale * self.np_random.uniform(-1, 1, 2)).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at = 0
        return self.seen(), {}

    def step(self, action):
        self.at += 1
        over = self.np_random.random() < 0.2 if self.length is None else self.at == self.length
        return self.seen(), self.reward * float(action), bool(over), False, {}


class Large(Shown):
    scale = 1000.0


class Unpaid(Shown):
    reward = 0.0


class Dear(Shown):
    reward = 1e4


class Endless(Shown):
    length = -1


class Limited(Shown):
    length = 7


class Blind(Shown):
    scale = 0.0


class Unseeded(Shown):
    def reset(self, *, seed=None, options=None):  # noqa: ARG002 - the fault
        return super().reset(options=options)


class Again(Shown):
    """Resets by itself, and shows the next game's first observation at the end."""

    def step(self, action):
        observation, reward, over, cut, info = super().step(action)
        self.first = self.seen() if over else None
        return self.first if over else observation, reward, over, cut, info

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        first = getattr(self, "first", None)
        return observation if first is None else first, info


def game(env):
    return GymnasiumGame("mine", SyncVectorEnv([env] * 3), masked=False)


def said(env):
    return {(each.level, each.subject): each.text for each in findings_of(play(game(env), 1, 0.02))}


@pytest.mark.parametrize("env", [Shown, Dear])
def test_of_a_sound_game_nothing_is_amiss(env):
    assert {level for level, _ in said(env)} == {"OK"}


@pytest.mark.parametrize(
    ("env", "subject", "text"),
    [
        (Large, "numbers", "--normalize-observations"),
        (Blind, "numbers", "the policy sees nothing"),
        (Unpaid, "rewards", "finds no reward"),
        (Endless, "ends", "no game ended in"),
        (Limited, "ends", "after exactly 7 steps: if that is a time limit, return truncated=True"),
        (Again, "ends", "step() must not reset by itself"),
    ],
)
def test_what_makes_training_worse_is_a_warning(env, subject, text):
    assert text in said(env)["warning", subject]


def test_whether_the_seed_decides_the_games():
    assert [each.level for each in reproduces(lambda: game(Shown), 3)] == ["OK"]
    (fixed,) = reproduces(lambda: game(Blind), 3)
    assert "there is no randomness in them" not in fixed.text  # its ends are random
    (unseeded,) = reproduces(lambda: game(Unseeded), 3)
    assert (unseeded.level, unseeded.subject) == ("warning", "seed")


def test_threads_that_run_on_are_named():
    before, stop = set(threading.enumerate()), threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-behind")
    thread.start()
    (found,) = threads_left(before)
    stop.set()
    thread.join()
    assert "left-behind" in found.text
    assert not list(threads_left(before))
