"""The whole configuration: presets by game and algorithm underneath, what was set on top, secrets nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broodmind.common.actions import Box, Discrete
from broodmind.common.errors import ConfigError
from broodmind.common.server.address import read_address
from broodmind.common.spec import GameSpec
from broodmind.deploy.config.effective import (
    effective,
    for_local_run,
    learner_config,
    run_spec,
    server_url,
    server_url_of_run,
    to_plain,
)
from broodmind.deploy.config.given import Given, of_values

CARDS, ARM = GameSpec("cards", (3,), Discrete(2)), GameSpec("arm", (3,), Box((-1.0,), (1.0,)))


def made(game=CARDS, **values):
    return effective(of_values(values, ""), game)


def test_defaults_with_discrete_actions():
    config = made()
    assert (config.algo, config.algorithm.learning_rate, config.algorithm.n_epochs) == ("ppo", 2.5e-3, 8)
    assert (config.rollout.unroll, config.rollout.fragment_length) == ("steps", 32)
    assert (config.intake.batch_steps, config.intake.batch_games) == (2048, 0)
    assert (config.network.normalize_observations, config.rollout.noise_correlation) == (False, 0.0)
    assert (config.lease.ttl_ms, config.lease.wait_s) == (5000, 10.0)


def test_auto_suits_continuous_actions():
    config = made(ARM)
    chosen = config.algorithm
    assert (chosen.learning_rate, chosen.entropy_coef, chosen.n_epochs, chosen.minibatch_size) == (3e-4, 0.0, 10, 64)
    assert (config.network.normalize_observations, config.rollout.noise_correlation) == (True, 0.0)


def test_ppo_by_name_has_its_own_defaults_whatever_the_game():
    config = made(ARM, algo="ppo")
    assert (config.algorithm.learning_rate, config.algorithm.popart) == (2.5e-3, 0.03)
    assert config.network.normalize_observations


def test_what_was_set_wins_over_a_preset():
    config = made(ARM, n_epochs=2, normalize_observations=False, noise_correlation=0.5)
    assert (config.algorithm.n_epochs, config.algorithm.popart) == (2, 0.03)
    assert (config.network.normalize_observations, config.rollout.noise_correlation) == (False, 0.5)


def test_correlated_noise_is_switched_off_for_discrete_actions():
    assert made(noise_correlation=0.5).rollout.noise_correlation == 0.0


def test_reinforce_trains_on_whole_episodes():
    config = made(algo="reinforce")
    assert (config.rollout.unroll, config.rollout.fragment_length) == ("games", 4096)
    assert (config.intake.batch_steps, config.intake.batch_games) == (0, 16)
    by_steps = made(algo="reinforce", batch_steps=100)
    assert (by_steps.intake.batch_steps, by_steps.intake.batch_games) == (100, 0)


@pytest.mark.parametrize(("games", "rate"), [(1, 7.5e-4), (4, 1.5e-3), (16, 3e-3), (64, 3e-3), (0, 3e-3)])
def test_reinforces_learning_rate_is_less_where_fewer_games_make_an_update(games, rate):
    """By the root: a step of Adam is as long with one game as with sixteen, and there are sixteen times as many."""
    config = made(algo="reinforce", batch_games=games, batch_steps=0 if games else 100)
    assert config.algorithm.learning_rate == rate
    assert made(algo="reinforce", batch_games=1, learning_rate=0.01).algorithm.learning_rate == 0.01


def test_a_group_inside_a_group_keeps_its_own_defaults():
    assert made(algo="vtrace").algorithm.schedule.kl_target == 0.002
    config = made(algo="vtrace", warmup_updates=3)
    assert (config.algorithm.schedule.kl_target, config.algorithm.schedule.warmup_updates) == (0.002, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algo": "reinforce", "clip_range": 0.1}, "clip_range: 0.1 with algo reinforce, expected algo ppo or impact"),
        ({"batch_games": 3}, "batch_games: 3 with algo ppo, expected algo reinforce"),
        ({"batch_steps": 0}, "batch_steps: 0, expected at least 1"),
        ({"algo": "reinforce", "lock_step": True}, "lock_step: true with whole episodes"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message):
    for game in (CARDS, None):
        with pytest.raises(ConfigError) as refused:
            made(game, **values)
        assert str(refused.value).startswith(message)


@pytest.mark.parametrize("values", [{}, {"actors": 1, "envs": 1}, {"actors": 48, "envs": 200}, {"algo": "reinforce"}])
def test_the_batch_of_a_local_run_does_not_follow_from_how_many_play(values):
    assert for_local_run(of_values(values, "")).values == {"actors": 2, **values}


def test_in_lock_step_a_local_run_takes_one_fragment_of_each_game_as_a_batch():
    values = {"actors": 3, "envs": 4, "fragment_length": 5, "lock_step": True}
    assert for_local_run(of_values(values, "")).get("batch_steps") == 3 * 4 * 5
    assert for_local_run(of_values({**values, "batch_steps": 9}, "")).get("batch_steps") == 9


def test_a_standby_waits_without_limit():
    assert made(standby=True).lease.wait_s == float("inf")
    assert made(lease_wait=3).lease.wait_s == 3


def test_run_spec_and_learner_config_are_made_from_the_configuration():
    config = made(seed=4, hidden="8", max_steps=9, fragment_length=7, anneal_steps=5)
    spec, learner = run_spec(config, CARDS), learner_config(config)
    assert (spec.seed, spec.network.hidden, spec.rollout.fragment_length, spec.game) == (4, (8,), 7, CARDS)
    assert (learner.goal.max_steps, learner.algorithm) == (9, config.algorithm)
    assert json.loads(learner.record)["rollout"]["fragment_length"] == 7


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"max_steps": 9}, 9),
        ({"max_steps": 9, "anneal_steps": 0}, 0),
        ({"max_steps": 9, "anneal_steps": 4}, 4),
        ({}, 0),
    ],
)
def test_the_learning_rate_falls_until_the_last_step_where_it_is_known(values, expected):
    config = made(**values)
    assert learner_config(config).algorithm.schedule.anneal_steps == expected
    # A run that goes on from its own record, for longer, has its rate back.
    stored = json.loads(learner_config(config).record)["algorithm"]["schedule"]["anneal_steps"]
    assert stored == values.get("anneal_steps")


def test_the_stored_and_the_displayed_configuration_contain_no_secret():
    config = made(redis="rediss://u:S3cret@h:1?ssl_password=S3cret", redis_password="S3cret")
    plain = json.dumps(to_plain(config))
    assert "S3cret" not in plain + repr(config)
    assert "rediss://u:***@h:1" in plain
    assert "redis_password" not in to_plain(config)["connection"]


def test_the_displayed_configuration_can_be_read_again():
    for algo in ("ppo", "impact", "vtrace", "reinforce"):
        config = made(ARM, algo=algo)
        flat = {}

        def flatten(table, flat=flat):
            for name, value in table.items():
                flatten(value) if isinstance(value, dict) else flat.update({name: value})

        flatten(to_plain(config))
        assert effective(of_values(flat, "a file"), ARM) == config


class TestServerUrl:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "password"
        path.write_text("from the file\nand more\n")
        return path

    def password(self, **values):
        return read_address(server_url(of_values(values, ""))).password

    def test_without_any_setting_the_default_url_is_used(self):
        assert server_url(Given()) == "redis://127.0.0.1:6379"

    def test_the_urls_own_password_stays(self, file):
        assert self.password(redis="redis://:own@h", redis_password="x", redis_password_file=file) == "own"

    def test_the_password_is_taken_from_the_environment(self):
        assert self.password(redis="redis://u@h", redis_password="p/w@:#") == "p/w@:#"

    def test_the_password_is_read_from_a_file(self, file):
        assert self.password(redis_password_file=str(file)) == "from the file"

    def test_a_password_file_on_the_command_line_overrides_the_environment(self, file):
        sources = {"redis_password": "environment variable BROODMIND_REDIS_PASSWORD", "redis_password_file": ""}
        given = Given({"redis_password": "x", "redis_password_file": file}, sources)
        assert read_address(server_url(given)).password == "from the file"
        given = Given(given.values, {**sources, "redis_password_file": "run.toml"})
        assert read_address(server_url(given)).password == "x"

    def test_a_missing_password_file_is_an_error(self, tmp_path):
        with pytest.raises(ConfigError, match=r"redis_password_file: .*expected a file that can be read"):
            server_url(of_values({"redis_password_file": tmp_path / "absent"}, ""))

    def test_a_run_of_up_client_on_this_machine_is_found_unless_a_server_is_given(self, monkeypatch):
        sockets = {"corridor": Path("/tmp/corridor.sock")}
        monkeypatch.setattr("broodmind.deploy.config.effective.running_socket", sockets.get)
        assert server_url_of_run(Given(), "corridor") == "unix:///tmp/corridor.sock"
        assert server_url_of_run(Given(), "another") == "redis://127.0.0.1:6379"
        assert server_url_of_run(of_values({"redis": "redis://h"}, ""), "corridor") == "redis://h"
        found = read_address(server_url_of_run(of_values({"redis_password": "p/w"}, ""), "corridor"))
        assert (found.place, found.password) == ("/tmp/corridor.sock", "p/w")
