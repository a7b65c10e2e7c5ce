"""Every mistake gives one clear line (what, the value, what was expected), an exit code, and harms nobody."""

from __future__ import annotations

import pytest
from support.marks import one_kind
from support.runs import SPEC, broodmind, hash_of, running
from support.servers import KINDS, PATIENCE_S, RealServer, free_port, wait_until

from broodmind.common import errors
from broodmind.common.server.keys import Keys
from broodmind.learner.persistence.run_spec import agree_on_spec


def ends(*arguments, code, **options):
    """Run a command that must fail; its last line of standard error."""
    process = broodmind(*arguments, **options)
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, shown
    assert "Traceback" not in shown
    assert not printed
    return shown.strip().splitlines()[-1]


@one_kind
@pytest.mark.parametrize(
    ("game", "expected"),
    [
        ("NoSuchGame-v0", "NoSuchGame"),
        ("no_such_module:make", "no_such_module to be an importable module"),
        ("json:no_such_factory", "no_such_factory"),
        ("math:pi", "pi to be callable, or a GameSpec, got float"),
    ],
)
@pytest.mark.parametrize("command", ["learner", "up"])
def test_an_unknown_game_ends_the_command_with_its_name(shared_server, run, tmp_path, game, expected, command):
    arguments = [command, "--redis", shared_server.url, "--run", run, "--game", game]
    line = ends(*arguments, *(["--out", str(tmp_path)] if command == "up" else []), code=errors.ConfigError.exit_code)
    assert f"game: '{game}', expected" in line
    assert expected in line


@pytest.mark.parametrize("command", ["learner", "actors", "status", "up"])
def test_an_unreachable_redis_ends_the_command_with_its_address(tmp_path, command):
    url = f"redis://127.0.0.1:{free_port()}"
    line = ends(command, "--redis", url, code=errors.RedisUnreachable.exit_code, cwd=tmp_path)
    assert line.startswith(f"broodmind: redis at {url}: ")
    assert line.endswith(" refused, expected a running server")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["learner", "actors", "status", "up"])
def test_a_wrong_password_ends_the_command_with_a_clear_error(tmp_path, kind, command):
    server = RealServer(kind, requirepass="secret")
    try:
        wrong = server.url.replace("//", "//:hunter2@")
        line = ends(command, "--redis", wrong, code=errors.RedisDenied.exit_code, cwd=tmp_path)
        assert "WRONGPASS" in line
        assert "hunter2" not in line
        line = ends(command, "--redis", server.url, code=errors.RedisDenied.exit_code, cwd=tmp_path)
        assert "NOAUTH Authentication required, expected a password: " in line
    finally:
        server.close()


def test_an_invalid_url_ends_the_command_with_a_clear_error(tmp_path):
    line = ends("status", "--redis", "localhost:6379", code=errors.ConfigError.exit_code, cwd=tmp_path)
    assert "redis: 'localhost:6379', expected redis://" in line


def test_an_unknown_run_ends_the_command_with_a_clear_error(shared_server, run):
    line = ends("status", "--redis", shared_server.url, "--run", run, code=errors.ConfigError.exit_code)
    assert f"run: '{run}', expected the name of a run" in line


def test_a_run_name_that_is_invalid_in_a_key_ends_the_command_with_a_clear_error(shared_server):
    line = ends("status", "--redis", shared_server.url, "--run", "a}b", code=errors.ConfigError.exit_code)
    assert "run: 'a}b', expected" in line


@pytest.mark.parametrize("command", ["learner", "up"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gamma", "2"), "gamma: 2, expected a finite number of at least 0 and at most 1"),
        (("--gamma", "nan"), "gamma: nan, expected a finite number of at least 0 and at most 1"),
        (("--gamma", "x"), "gamma: 'x', expected a finite number of at least 0 and at most 1"),
        (("--minibatch-size", "0"), "minibatch_size: 0, expected a whole number of at least 1"),
        (("--optimizer", "lion"), "optimizer: 'lion', expected one of adam, adamw, rmsprop, sgd"),
        (("--clip-range", "-1"), "clip_range: -1, expected a finite number of more than 0"),
        (("--learning-rate", "0"), "learning_rate: 0, expected a finite number of more than 0"),
        (("--learning-rate", "inf"), "learning_rate: inf, expected a finite number of more than 0"),
        (("--learning-rate-scaling", "cubic"), "learning_rate_scaling: 'cubic', expected one of none, linear, sqrt"),
        (("--hidden", "64,x"), "hidden: '64,x', expected whole numbers such as 64,64 of at least 1"),
        (("--hidden", "0"), "hidden: 0, expected whole numbers such as 64,64 of at least 1"),
        (("--algo", "dqn"), "algo: 'dqn', expected one of auto, ppo, impact, vtrace, reinforce"),
        (("--activation", "gelu"), "activation: 'gelu', expected one of tanh, relu"),
        (("--max-staleness", "-1"), "max_staleness: -1, expected a whole number of at least 0"),
        (("--max-steps", "1.5"), "max_steps: 1.5, expected a whole number of at least 1"),
        (("--batch-steps", "0"), "batch_steps: 0, expected at least 1 (or batch_games of at least 1)"),
        (("--batch-games", "3"), "batch_games: 3 with algo ppo, expected algo reinforce"),
        (("--algo", "vtrace", "--clip-range", "0.1"), "clip_range: 0.1 with algo vtrace, expected algo ppo or impact"),
        (("--algo", "impact", "--no-decoupled"), "decoupled: false, expected true: IMPACT's advantages are those of"),
        (("--algo", "reinforce", "--lock-step"), "lock_step: true with whole episodes as trajectories, expected an"),
        (("--set", "clip=-1"), "clip_range: -1, expected a finite number of more than 0"),
        (("--set", "gama=0.9"), "set: 'gama', expected a hyperparameter; did you mean --gamma?"),
        (("--config", "absent.toml"), "config: 'absent.toml', expected a file that can be read"),
    ],
)
def test_an_invalid_setting_ends_the_command_before_it_does_anything(tmp_path, command, options, message):
    # No server is there, and none is asked for: the setting is looked at first.
    line = ends(command, "--redis", "redis://127.0.0.1:1", *options, code=errors.ConfigError.exit_code, cwd=tmp_path)
    assert line.startswith(f"broodmind: {message}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--envs", "0"), "envs: 0, expected a whole number of at least 1"),
        (("--actors", "x"), "actors: 'x', expected a whole number of at least 1"),
        (("--no-progress-seconds", "-1"), "no_progress_seconds: -1, expected a finite number of at least 0"),
        (("--game-seconds", "0"), "game_seconds: 0, expected a whole number of at least 1"),
    ],
)
def test_an_invalid_setting_of_actors_ends_the_command(tmp_path, options, message):
    line = ends("actors", *options, code=errors.ConfigError.exit_code, cwd=tmp_path)
    assert line == f"broodmind: {message}"


@pytest.mark.parametrize("options", [("--nonsense",), ("--gamma",), ("--spool-dir", "x"), ("--gama", "0.9")])
def test_an_unknown_option_is_a_usage_error(options):
    command = "actors" if "--spool-dir" in options else "learner"
    line = ends(command, *options, code=2)
    assert line.startswith("Error: ") or "expected" in line


def test_an_actor_of_another_game_ends_without_affecting_the_run(shared_server, redis, run):
    """It names the field, ends with its code, and the run goes on with those who fit."""
    common = ("--redis", shared_server.url, "--run", run)
    with running("learner", *common), running("actors", *common, "--envs", "4"):
        wait_until(lambda: int(hash_of(redis, Keys(run).head).get("accepted", 0)) > 0)
        line = ends("actors", *common, "--game", "CartPole-v1", code=errors.SpecMismatch.exit_code)
        assert "exited with code 8" in line
        accepted = int(hash_of(redis, Keys(run).head)["accepted"])
        wait_until(lambda: int(hash_of(redis, Keys(run).head)["accepted"]) > accepted)
        assert len(redis.call("HKEYS", Keys(run).roster)) == 1


def test_a_spec_mismatch_names_the_field_and_both_values(shared_server, redis, run):
    agree_on_spec(redis, Keys(run), SPEC)
    options = ("--name", "a", "--game", "CartPole-v1")
    # Its standard input is its lifeline: it must not have ended before the actor has looked.
    process = broodmind("actor", "--redis", shared_server.url, "--run", run, *options, stdin=-1)
    assert process.wait(PATIENCE_S) == errors.SpecMismatch.exit_code
    _, shown = process.communicate()
    assert "observation_shape of game CartPole-v1: (4,), expected (3,) (the run's toy)" in shown


def test_a_second_learner_ends_and_names_the_holder_of_the_lease(shared_server, redis, run):
    common = ("--redis", shared_server.url, "--run", run, "--lease-ttl", "3")  # less than the second one waits
    with running("learner", *common):
        wait_until(lambda: redis.call("EXISTS", Keys(run).lease))
        line = ends("learner", *common, code=errors.LeaseHeld.exit_code)
    assert f"lease of run {run}: held by learner" in line
