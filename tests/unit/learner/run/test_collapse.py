"""The collapse of a return: noticed where the policy has unlearned, and not in a noisy game or one never learnt."""

from __future__ import annotations

import numpy as np
import pytest

from broodmind.common.wire import codec
from broodmind.learner.run.collapse import BLOCK_GAMES, BLOCK_VERSIONS, BLOCKS, Collapse

GAMES_A_VERSION = BLOCK_GAMES // BLOCK_VERSIONS


def play(collapse, returns, version=1):
    """Play so many games with each version; the outcome of each block, and the version that is published last."""
    found = []
    for at in range(0, len(returns), GAMES_A_VERSION):
        collapse.add((version, float(total)) for total in returns[at : at + GAMES_A_VERSION])
        version += 1
        if collapse.complete(version):
            found.append(collapse.judge())
            collapse.begin(version)
    return found, version


def outcomes(returns):
    collapse = Collapse()
    collapse.begin(1)
    return play(collapse, returns)[0]


def blocks(*means, sd=0.1, seed=0):
    """The returns of one block for each mean."""
    rng = np.random.default_rng(seed)
    return np.concatenate([mean + sd * rng.standard_normal(BLOCK_GAMES) for mean in means])


LEARNT = (0.0, 0.4, 0.8, 1.0)


def test_a_planted_collapse_is_noticed_after_so_many_blocks_and_said_once():
    assert outcomes(blocks(*LEARNT, 0.2, 0.2, 0.2, 0.2)) == ["best"] * 4 + ["low", "collapse", "low", "low"]
    assert BLOCKS == 2


def test_a_fall_of_less_than_the_share_is_none_and_the_share_is_of_the_gain():
    assert outcomes(blocks(*LEARNT, 0.6, 0.6, 0.6)) == ["best"] * 4 + ["usual"] * 3
    assert outcomes(blocks(*LEARNT, 0.4, 0.4, 0.4)) == ["best"] * 4 + ["low", "collapse", "low"]
    assert outcomes(blocks(0.7, 1.0, 0.8, 0.8)) == ["best", "best", "low", "collapse"]


def test_one_bad_block_is_no_collapse():
    assert "collapse" not in outcomes(blocks(*LEARNT, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9))


def test_a_slow_unlearning_is_noticed_too():
    found = outcomes(blocks(*LEARNT, *np.linspace(1.0, 0.0, 40)))
    assert found.count("collapse") == 1
    assert found.index("collapse") == pytest.approx(4 + 20 + BLOCKS, abs=2)


def test_a_return_that_came_back_may_collapse_again():
    assert outcomes(blocks(*LEARNT, 0.2, 0.2, 0.9, 0.2, 0.2)).count("collapse") == 2


def test_after_an_answer_it_is_said_again_that_the_return_is_low():
    collapse = Collapse()
    collapse.begin(1)
    _, version = play(collapse, blocks(*LEARNT, 0.2, 0.2))
    collapse.look_again()
    assert play(collapse, blocks(0.2, 0.2, 0.2), version)[0] == ["low", "collapse", "low"]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [-1e4, 0.0, 1e4])
def test_neither_the_scale_of_the_returns_nor_their_offset_matters(scale, offset):
    returns = blocks(*LEARNT, 0.55, 0.45, 0.45, 0.55, 0.45, 0.45)
    assert outcomes(scale * (returns + offset)) == outcomes(returns)
    assert outcomes(returns).count("collapse") == 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, size: rng.standard_normal(size),
        lambda rng, size: rng.random(size) < 0.5,
        lambda rng, size: rng.random(size) < 0.97,
        lambda rng, size: 100.0 * (rng.random(size) < 0.01),
        lambda rng, size: rng.standard_t(3, size),
        lambda rng, size: rng.exponential(size=size),
        lambda _, size: np.full(size, -200.0),
    ],
    ids=["normal", "even", "nearly always", "rarely", "heavy tails", "skewed", "constant"],
)
def test_less_than_one_in_a_hundred_runs_of_10_000_games_that_stay_as_they_are_has_an_alarm(draw):
    rng = np.random.default_rng(0)
    assert sum("collapse" in outcomes(draw(rng, 10_000)) for _ in range(30)) == 0


def test_a_game_that_is_only_played_worse_than_at_the_start_was_never_learnt():
    """At first, exploring may cost more than playing at random: Pendulum's return often falls before it rises."""
    assert "collapse" not in outcomes(blocks(-1200, -1500, -1500, -1500, -1200, sd=100))


def test_one_huge_return_does_not_make_a_block_the_best():
    returns = blocks(*LEARNT, 1.0, 0.2, 0.2)
    returns[4 * BLOCK_GAMES + 5] = 1e9
    assert outcomes(returns)[-3:] == ["usual", "low", "collapse"]
    returns[-5] = -1e300
    assert "collapse" not in outcomes(returns)


def test_games_that_were_in_play_when_a_block_began_are_not_in_it():
    collapse = Collapse()
    collapse.begin(7)
    collapse.add([(6, 1.0)] * BLOCK_GAMES)
    assert not collapse.complete(7 + BLOCK_VERSIONS)
    collapse.add([(7, 1.0), (8, 1.0)] * (BLOCK_GAMES // 2))
    assert not collapse.complete(6 + BLOCK_VERSIONS)
    assert collapse.complete(7 + BLOCK_VERSIONS)


def test_stored_and_restored_at_any_game_it_says_the_same():
    returns = blocks(*LEARNT, 0.3, 0.3, 0.9, 0.2, 0.2)
    expected = outcomes(returns)
    collapse, found, version = Collapse(), [], 1
    collapse.begin(1)
    for at in range(0, len(returns), 30):
        heir = Collapse()
        heir.restore(codec.decode(codec.encode(collapse.state()), max_bytes=1 << 10))
        more, version = play(heir, returns[at : at + 30], version)
        collapse, found = heir, found + more
    assert found == expected
    assert found.count("collapse") == 2


@pytest.mark.parametrize("numbers", [[1, float("nan"), 0.0], [1, 0.0, -1.0], [-1, 0.0, 0.0], [1, 0.0], "abc", 7])
def test_what_is_no_stored_state_is_refused(numbers):
    state = {**Collapse().state(), "best": numbers}
    with pytest.raises((TypeError, ValueError)):
        Collapse().restore(state)
