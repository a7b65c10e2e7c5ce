"""The world of the program that stands in for StarCraft II in the tests."""

from __future__ import annotations

from support.standin.world import GAME_SECONDS, World


def test_the_stand_in_gives_the_same_game_for_the_same_seed():
    def course(seed):
        world = World(seed, difficulty=5)
        while not world.result:
            world.step(8)
        return world.result, world.loop, tuple(world.bodies)

    assert course(1) == course(1)
    assert course(1) != course(2)
    assert World(1, 5).seconds == 0 < course(1)[1] / 22.4 <= GAME_SECONDS + 1
