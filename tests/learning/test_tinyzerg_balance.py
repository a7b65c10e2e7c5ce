"""How hard TinyZerg is: chance and one fixed action lose, a player that looks at the features wins.

Win rates over `GAMES` games each; two standard errors are about 2 points at most. Measured when the constants of the
game were chosen: uniform 1 %, every constant policy 0 %, the attentive player 99 %, the heedless one 54 %.
"""

import numpy as np
import pytest

from broodmind.actors.games.tinyzerg import FEATURE_SCALES, STEP_LIMIT, UNIT_HP, Macro, TinyZerg

GAMES = 2048


def win_rate(policy, seed):
    """The part of GAMES games that `policy` wins, and the mean length of a game in decisions."""
    game = TinyZerg(GAMES)
    rng = np.random.default_rng(seed)
    step = game.reset(seed)
    over = np.zeros(GAMES, np.bool_)
    won = np.zeros(GAMES, np.bool_)
    decisions = 0
    for _ in range(STEP_LIMIT):
        decisions += (~over).sum()
        step = game.step(policy(step.observations, rng))
        now = (step.terminated | step.truncated) & ~over
        won |= now & step.wins
        over |= now
        if over.all():
            break
    assert over.all()
    return won.mean(), decisions / GAMES


def uniform(observations, rng):
    return rng.integers(0, len(Macro), len(observations))


def attentive(observations, _rng, *, heeds_attacks=True):
    """Economy, then defence and tech; strike when clearly stronger; come home when attacked."""
    features = observations.astype(np.float64) * FEATURE_SCALES
    minerals, vespene, supply_used, _, workers, _, _, _, _, enemy_bases, upgrades, _, control, own, enemy = features.T
    attacked = (control < 0.75 * own / (own + enemy + 1.0)) & heeds_attacks
    rich = workers >= 32
    affordable = np.minimum(minerals, vespene) >= 150
    stronger = own > 1.2 * (enemy + 4.0 * UNIT_HP * enemy_bases)  # a base defends itself like four units
    maxed = (supply_used > 185) & (own > 1.1 * enemy)
    return np.select(
        [
            attacked,
            stronger | maxed,
            own < 0.7 * enemy,
            rich & affordable & (upgrades < 4),
            rich,
        ],
        [Macro.DEFENSIVE, Macro.AGGRESSIVE, Macro.DEFENSIVE, Macro.TECH, Macro.DEFENSIVE],
        Macro.ECONOMY,
    )


def test_random_play_wins_rarely_but_sometimes():
    rate, _ = win_rate(uniform, seed=0)
    assert 0.003 < rate <= 0.10


@pytest.mark.parametrize("macro", Macro)
def test_no_single_action_wins(macro):
    rate, _ = win_rate(lambda observations, _rng: np.full(len(observations), macro), seed=1)
    assert rate <= 0.10


def test_a_scripted_player_that_uses_the_features_wins_nearly_always():
    rate, length = win_rate(attentive, seed=2)
    assert rate >= 0.97
    assert 30 <= length <= 70


def test_the_scripted_player_wins_far_less_often_if_it_ignores_attacks():
    rate, _ = win_rate(lambda *given: attentive(*given, heeds_attacks=False), seed=2)
    assert rate <= 0.70
