"""A seed means the same numbers in every version, and different ones for each role and index."""

from __future__ import annotations

import numpy as np

from broodmind.common.process.seeding import Role, generator, integer_seed, name_key


def test_the_random_numbers_of_a_seed_do_not_change_between_versions():
    """Drawn with version 0.1: who has noted a seed finds the same run."""
    expected = [1343860790, 1534518713, 1572192052, 716515998, 1611353454]
    assert [integer_seed(7, role, 1) for role in Role] == expected


def test_each_seed_role_and_index_gives_different_random_numbers():
    drawn = {
        tuple(generator(seed, role, *index).integers(2**62, size=2))
        for seed in (0, 1)
        for role in Role
        for index in ((), (0,), (1,), (0, 1))
    }
    assert len(drawn) == 2 * len(Role) * 4


def test_the_next_index_gives_other_numbers_than_the_next_seed():
    assert integer_seed(0, Role.GAME, 1) != integer_seed(1, Role.GAME, 0)


def test_a_name_gives_an_index_that_numpy_accepts():
    assert name_key("a") != name_key("b")
    assert 0 <= name_key("a") < 2**64
    assert generator(1, Role.ACTIONS, name_key("a")).random() != generator(1, Role.ACTIONS, name_key("b")).random()


def test_an_integer_seed_fits_31_bits():
    seeds = np.array([integer_seed(seed, Role.GAME) for seed in range(200)])
    assert seeds.min() >= 0
    assert 2**30 < seeds.max() < 2**31
