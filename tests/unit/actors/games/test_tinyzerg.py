"""The rules of TinyZerg, and what every game owes an actor: seeds, scaling, resets, how games end."""

from dataclasses import astuple

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from broodmind.actors.games.tinyzerg import (
    DECISION_S,
    MACRO_EFFECTS,
    RAID,
    STEP_LIMIT,
    UPGRADE_STRENGTH,
    Macro,
    TinyZerg,
)
from broodmind.actors.games.tinyzerg_gymnasium import ENV_ID, TinyZergEnv

GAMES = 64


@pytest.fixture
def game():
    made = TinyZerg(GAMES)
    made.reset(seed=1)
    return made


def everywhere(macro, games=GAMES):
    return np.full(games, macro)


def random_actions(seed, decisions, games=GAMES):
    return np.random.default_rng(seed).integers(0, len(Macro), (decisions, games))


def play(actions, seed):
    """The steps of one run, reset included, as arrays [decisions + 1, games, ...]."""
    game = TinyZerg(actions.shape[1])
    steps = [game.reset(seed), *(game.step(row) for row in actions)]
    names = ("observations", "rewards", "terminated", "truncated", "wins")
    return {name: np.stack([getattr(step, name) for step in steps]) for name in names}


def quiet(game, enemy_units=0.0):
    """An enemy that neither builds nor attacks, so that one rule at a time can be watched."""
    state = game.state
    state.enemy_growth[:] = state.enemy_acceleration[:] = state.enemy_expansion[:] = 0.0
    state.wave_due[:] = 1e9
    state.enemy_units[:] = enemy_units
    return state


# What an actor relies on.


def test_the_first_observation_is_the_start_of_a_game_in_the_original_order_and_scales(game):
    minerals, workers, supply_cap, larva, units = 50, 12, 14, 3, 1
    hp = units * 145
    expected = [
        minerals / 2000, 0, (workers + 2 * units) / 200, supply_cap / 200, workers / 100, units / 100, units / 100,
        1 / 10, 0, 1 / 5, 0, larva / 20, hp / (2 * hp + 1), hp / 5000, hp / 5000,
    ]  # fmt: skip
    observations = game.reset(seed=3).observations
    assert observations.shape == (GAMES, 15)
    assert observations.dtype == np.float32
    assert observations.flags.c_contiguous  # it is sent and stored as bytes
    np.testing.assert_allclose(observations, np.tile(expected, (GAMES, 1)), rtol=1e-6)


def test_features_are_clipped_at_two(game):
    quiet(game).minerals[:] = 1e6
    observations = game.step(everywhere(Macro.DEFENSIVE)).observations
    assert (observations[:, 0] == 2.0).all()
    assert (observations[:, 1:] < 2.0).all()


def test_the_actions_are_the_original_ones_in_order():
    assert [macro.name for macro in Macro] == ["ECONOMY", "AGGRESSIVE", "DEFENSIVE", "TECH", "ALL_IN"]
    assert [int(macro) for macro in Macro] == [0, 1, 2, 3, 4] == [int(macro) for macro in MACRO_EFFECTS]
    assert TinyZerg.spec.actions.outputs == 5


def test_seed_and_actions_determine_everything_bit_for_bit():
    actions = random_actions(0, 200)
    first, again, other = play(actions, seed=5), play(actions, seed=5), play(actions, seed=6)
    for name, values in first.items():
        assert values.tobytes() == again[name].tobytes(), name
    assert not np.array_equal(first["observations"], other["observations"])


def test_a_second_reset_clears_all_state(game):
    actions = random_actions(0, 60)
    for row in actions:
        game.step(row)
    game.reset(seed=8)
    observed = np.stack([game.step(row).observations for row in actions])
    np.testing.assert_array_equal(observed, play(actions, seed=8)["observations"][1:])


def test_a_game_does_not_depend_on_what_the_others_do():
    actions = random_actions(0, 300)
    others = random_actions(1, 300)
    mine = 17
    others[:, mine] = actions[:, mine]
    first, second = play(actions, seed=2), play(others, seed=2)
    assert first["terminated"][:, mine].any(), "the run must cross the end of a game"
    for name, values in first.items():
        np.testing.assert_array_equal(values[:, mine], second[name][:, mine], err_msg=name)


def test_games_of_one_run_differ(game):
    for _ in range(10):
        observations = game.step(everywhere(Macro.DEFENSIVE)).observations
    assert len(np.unique(observations, axis=0)) == GAMES


def test_an_ended_game_starts_anew_in_the_next_step():
    run = play(random_actions(0, 300), seed=4)
    ended = run["terminated"] | run["truncated"]
    assert ended[:-1].sum() > GAMES, "most games must end more than once"
    after = np.zeros_like(ended)
    after[1:] = ended[:-1]
    first = run["observations"][0, 0]
    np.testing.assert_array_equal(run["observations"][after], np.tile(first, (after.sum(), 1)))
    assert (run["observations"][ended][:, 8] > 0).all(), "the last observation is the ended game's own"
    assert (run["rewards"][after] == 0).all()
    assert not ended[after].any()


def test_the_action_after_an_end_is_ignored():
    actions = random_actions(0, 120)
    run = play(actions, seed=4)
    ended = (run["terminated"] | run["truncated"])[1:]
    altered = actions.copy()
    altered[1:][ended[:-1]] = (altered[1:][ended[:-1]] + 1) % len(Macro)
    assert (altered != actions).any()
    np.testing.assert_array_equal(run["observations"], play(altered, seed=4)["observations"])


def test_earlier_observations_are_not_overwritten(game):
    step = game.step(everywhere(Macro.ECONOMY))
    kept = step.observations.copy()
    game.step(everywhere(Macro.ECONOMY))
    np.testing.assert_array_equal(step.observations, kept)


def test_actions_of_another_shape_are_refused(game):
    with pytest.raises(AssertionError, match="expected"):
        game.step(np.zeros((GAMES, 1), np.int64))
    game.close()
    game.close()


# How games end.


def test_no_enemy_base_left_is_a_win(game):
    quiet(game).enemy_bases[:] = 0.0
    step = game.step(everywhere(Macro.ECONOMY))
    assert step.wins.all()
    assert step.terminated.all()
    assert not step.truncated.any()
    np.testing.assert_allclose(step.rewards, 1.0, atol=1e-6)


def test_no_own_base_left_is_a_loss_whatever_became_of_the_enemy(game):
    state = quiet(game)
    state.bases[:] = 0.0
    state.enemy_bases[: GAMES // 2] = 0.0
    step = game.step(everywhere(Macro.ECONOMY))
    assert step.terminated.all()
    assert not step.wins.any()
    np.testing.assert_allclose(step.rewards, -1.0, atol=1e-6)


def test_the_step_limit_truncates_and_is_no_win(game):
    for decision in range(1, STEP_LIMIT + 1):
        quiet(game)
        step = game.step(everywhere(Macro.ECONOMY))
        assert (step.truncated == (decision == STEP_LIMIT)).all(), decision
        assert not step.terminated.any()
    assert not step.wins.any()


def test_a_game_decided_at_the_step_limit_is_terminated_only(game):
    state = quiet(game)
    state.game_time_s[:] = (STEP_LIMIT - 1) * DECISION_S
    state.enemy_bases[:] = 0.0
    step = game.step(everywhere(Macro.ECONOMY))
    assert step.terminated.all()
    assert not step.truncated.any()


def test_returns_are_the_outcome_where_a_game_finished_and_small_where_it_was_cut_off():
    actions = np.full((400, 256), Macro.DEFENSIVE)
    actions[:, :128] = random_actions(3, 400, 128)
    run = play(actions, seed=0)
    seen = set()
    for column in range(256):
        begin = 0
        for end in np.flatnonzero(run["terminated"][:, column] | run["truncated"][:, column]):
            total = run["rewards"][begin : end + 1, column].sum(dtype=np.float64)
            if run["terminated"][end, column]:
                won = run["wins"][end, column]
                assert total == pytest.approx(1.0 if won else -1.0, abs=1e-5)
                seen.add("win" if won else "loss")
            else:
                assert abs(total) < 0.7
                seen.add("cut off")
            begin = end + 1
    assert seen == {"win", "loss", "cut off"}


# The rules.


def test_no_resource_becomes_negative_and_supply_is_never_exceeded(game):
    for row in random_actions(9, 400):
        game.step(row)
        state = game.state
        assert (np.array(astuple(state))[:15] >= -1e-9).all()
        assert (state.supply_used <= state.supply_cap + 1e-9).all()
        assert (state.supply_cap <= 200.0).all()
        assert (state.wave <= state.enemy_units + 1e-9).all()
        assert (state.map_control <= 1.0).all()


def test_supply_ends_at_200(game):
    state = quiet(game)
    state.minerals[:], state.bases[:], state.larva[:] = 1e5, 5.0, 30.0
    state.workers[:], state.supply_used[:], state.supply_cap[:] = 194.0, 196.0, 198.0
    for _ in range(3):
        game.step(everywhere(Macro.ECONOMY))
    np.testing.assert_allclose(state.supply_cap, 200.0)
    np.testing.assert_allclose(state.supply_used, 200.0)


def test_economy_makes_drones_and_expands_and_drones_earn(game):
    for _ in range(30):
        quiet(game)
        game.step(everywhere(Macro.ECONOMY))
    state = game.state
    assert (state.workers > 40).all()
    assert (state.bases >= 2).all()
    np.testing.assert_allclose(state.units, 1.0)
    before = state.minerals.copy()
    game.step(everywhere(Macro.TECH))
    rich = state.minerals - before
    poor = TinyZerg(GAMES)
    poor.reset(0)
    poor.step(everywhere(Macro.TECH))
    assert (rich > poor.state.minerals - 50.0).all()


def test_workers_beyond_what_the_bases_hold_earn_nothing(game):
    state = quiet(game)
    state.workers[: GAMES // 2] = 22.0
    state.workers[GAMES // 2 :] = 44.0
    game.step(everywhere(Macro.DEFENSIVE))
    assert (state.vespene == state.vespene[0]).all()


@pytest.mark.parametrize("macro", [Macro.AGGRESSIVE, Macro.DEFENSIVE, Macro.ALL_IN])
def test_army_actions_build_as_many_units_as_are_affordable(game, macro):
    state = quiet(game)
    state.minerals[:], state.vespene[:], state.larva[:], state.supply_cap[:] = 1000.0, 0.0, 4.0, 100.0
    state.enemy_bases[:] = 1e-1  # nearly no static defence: what is lost comes of nothing else
    game.step(everywhere(macro))
    assert (state.units > 1.5).all()
    assert (state.workers <= 12.0).all()
    made = 12 * 2.5 / 25  # vespene is what lacks
    assert (state.units <= 1.0 + made + 1e-9).all()


def test_tech_buys_upgrades_that_make_the_army_stronger(game):
    state = quiet(game)
    state.minerals[:] = state.vespene[:] = 1000.0
    hp = state.own_army_hp.copy()
    for _ in range(20):
        game.step(everywhere(Macro.TECH))
    assert (state.upgrades >= 2.5).all()
    assert (state.upgrades <= 6.0).all()
    np.testing.assert_allclose(state.own_army_hp, hp * (1.0 + UPGRADE_STRENGTH * state.upgrades))


def test_an_attack_is_seen_one_decision_before_it_arrives(game):
    state = quiet(game, enemy_units=2.0)
    calm = game.step(everywhere(Macro.TECH)).observations[:, 12]
    state.wave_due[:] = 1.0
    state.wave_share[:] = 1.0
    seen = game.step(everywhere(Macro.TECH)).observations[:, 12]
    assert (seen < 0.6 * calm).all()
    assert (state.units == 1.0).all()
    game.step(everywhere(Macro.TECH))
    assert (state.units < 1.0).all()


def test_a_base_stands_while_its_army_is_at_home_and_falls_while_it_is_away(game):
    state = quiet(game, enemy_units=10.0)
    state.units[:] = 30.0
    state.wave[:] = 10.0
    actions = everywhere(Macro.DEFENSIVE)
    actions[: GAMES // 2] = Macro.AGGRESSIVE
    game.step(actions)
    assert (state.bases[GAMES // 2 :] == 1.0).all()
    assert (state.workers[GAMES // 2 :] == 12.0).all()
    lost = 1.0 - state.bases[: GAMES // 2]
    assert ((lost > 0.75 * RAID * 10) & (lost < 1.25 * RAID * 10)).all()
    assert (state.workers[: GAMES // 2] < 12.0).all()


def test_defence_saves_units(game):
    state = quiet(game, enemy_units=20.0)
    state.units[:] = 20.0
    state.wave[:] = 20.0
    state.larva[:] = state.minerals[:] = 0.0
    state.workers[:] = 0.0
    actions = everywhere(Macro.DEFENSIVE)
    actions[: GAMES // 2] = Macro.TECH
    game.step(actions)
    assert state.units[GAMES // 2 :].mean() > state.units[: GAMES // 2].mean() + 1.0
    assert state.enemy_units[GAMES // 2 :].mean() < state.enemy_units[: GAMES // 2].mean() - 1.0


def test_the_enemys_bases_fall_to_the_stronger_army_only(game):
    state = quiet(game, enemy_units=20.0)
    state.units[: GAMES // 2] = 60.0
    state.units[GAMES // 2 :] = 10.0
    game.step(everywhere(Macro.AGGRESSIVE))
    assert (state.enemy_bases[: GAMES // 2] < 0.9).all()
    assert (state.enemy_bases[GAMES // 2 :] == 1.0).all()


def test_all_in_hits_harder_and_costs_workers(game):
    state = quiet(game, enemy_units=20.0)
    state.units[:] = 60.0
    actions = everywhere(Macro.ALL_IN)
    actions[: GAMES // 2] = Macro.AGGRESSIVE
    game.step(actions)
    assert state.enemy_bases[GAMES // 2 :].mean() < state.enemy_bases[: GAMES // 2].mean() - 0.1
    assert (state.workers[GAMES // 2 :] < 12.0).all()
    assert (state.workers[: GAMES // 2] == 12.0).all()


# As Gymnasium sees it.


def test_gymnasium_finds_the_game_and_its_checker_is_content():
    env = gymnasium.make(ENV_ID)
    check_env(env.unwrapped)  # its complaints are warnings, and warnings are errors here


def test_the_gymnasium_environment_reports_the_winner_at_the_end():
    env = gymnasium.make(ENV_ID)
    inner = env.unwrapped
    assert isinstance(inner, TinyZergEnv)
    env.reset(seed=0)
    for _ in range(STEP_LIMIT):
        _, reward, terminated, truncated, info = env.step(int(Macro.TECH))
        assert ("is_success" in info) == (terminated or truncated)
        if terminated or truncated:
            break
    assert terminated
    assert reward < 0
    assert info["is_success"] is False
    inner.game.state.enemy_bases[:] = 0.0
    env.reset(seed=0)
    inner.game.state.enemy_bases[:] = 0.0
    assert env.step(int(Macro.TECH))[4]["is_success"] is True


def test_a_gymnasium_reset_without_a_seed_starts_a_different_game():
    env = gymnasium.make(ENV_ID)
    runs = []
    for seed in (3, None, 3):
        env.reset(seed=seed)
        runs.append([env.step(int(Macro.DEFENSIVE))[0][6] for _ in range(5)])
    assert runs[0] == runs[2] != runs[1]


def test_the_gymnasium_vector_environment_steps_many_games_at_once():
    envs = gymnasium.make_vec(ENV_ID, num_envs=4)
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    endings = 0
    for row in random_actions(0, 100, 4):
        observations, rewards, terminated, truncated, info = envs.step(row)
        assert envs.observation_space.contains(observations)
        assert rewards.shape == (4,)
        if info:
            endings += 1
            np.testing.assert_array_equal(info["_is_success"], terminated | truncated)
            assert not (info["is_success"] & ~info["_is_success"]).any()
    assert endings > 0
    envs.close()
