"""One configuration: a setting has one place, a secret has none that others can read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.documents import documented
from support.learners import counters
from support.marks import one_kind
from support.paths import ROOT
from support.runs import broodmind, hash_of, last_json, running
from support.servers import KINDS, PATIENCE_S, RealServer, free_port, wait_until

from broodmind.common.errors import ConfigError
from broodmind.common.server.keys import Keys

PACKAGES = ("actors", "common", "deploy", "learner")
NEW = '    patience: Annotated[int, Setting("How patient to be.", ge=1, unit="sighs")] = 7\n'
ALGORITHM = """
from dataclasses import dataclass
from typing import Annotated

from ...common.setting import Setting, check_settings
from .reinforce.config import ReinforceConfig
from .reinforce.update import Reinforce


@dataclass(frozen=True, slots=True)
class CalmConfig(ReinforceConfig):
    calm: Annotated[float, Setting("How calm to be.", ge=0, le=1)] = 0.25

    def __post_init__(self):
        check_settings(self)


class Calm(Reinforce):
    def __init__(self, config, spec):
        super().__init__(config, spec)
        assert config.calm == 0.75
"""


class Copy:
    """A throw-away copy of the package, to change."""

    def __init__(self, folder):
        self.package = folder / "broodmind"
        for name in PACKAGES:
            shutil.copytree(ROOT / name, self.package / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "broodmind" / "__init__.py", self.package)
        self.environment = {**os.environ, "PYTHONPATH": str(folder)}

    def insert(self, module, before, text):
        """Put a text before a line that is there once."""
        path = self.package / module
        code = path.read_text()
        assert code.count(before) == 1
        path.write_text(code.replace(before, text + before))

    def run(self, *arguments, **environment):
        command = [sys.executable, "-m", "broodmind.deploy.cli", *arguments]
        done = subprocess.run(
            command,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            cwd=self.package.parent,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def stored_with(redis, run):
    """The configuration that the learner stored beside the run's spec."""
    return json.loads(redis.call("HGET", Keys(run).spec, "config"))


@one_kind
def test_a_setting_added_in_one_place_appears_in_every_form(copy, shared_server, redis, run):
    copy.insert("learner/config.py", "    accept_imported: Annotated[", NEW)

    # The command line and its help, the environment, a file, and their precedence.
    shown = " ".join(copy.run("learner", "--help").split())
    assert "--patience INTEGER How patient to be. [at least 1; in sighs; default: 7]" in shown
    (copy.package.parent / "run.toml").write_text("[intake]\npatience = 8\n")
    for expected, options, environment in (
        (7, (), {}),
        (8, ("--config", "run.toml"), {}),
        (9, ("--config", "run.toml"), {"BROODMIND_PATIENCE": "9"}),
        (10, ("--config", "run.toml", "--patience", "10"), {"BROODMIND_PATIENCE": "9"}),
    ):
        made = json.loads(copy.run("config", "--json", *options, **environment))
        assert made["intake"]["patience"] == expected
    assert "# How patient to be. (a whole number of at least 1; in sighs)\npatience = 7\n" in copy.run("config")

    # The reference page.
    page = copy.run("config", "--reference")
    assert "| `patience` | a whole number of at least 1, in sighs | 7 | How patient to be. |" in page

    # The child: the learner is one of `up`, and what it was made with is what it stores with the run.
    arguments = ("--redis", shared_server.url, "--run", run, "--actors", "1", "--envs", "4", "--max-steps", "200")
    copy.run("up", *arguments, "--eval-episodes", "1", "--out", "out", "--patience", "11")
    assert stored_with(redis, run)["intake"]["patience"] == 11


@one_kind
def test_an_algorithm_is_added_by_its_module_and_one_entry(copy, shared_server, redis, run):
    (copy.package / "learner/algorithms/calm.py").write_text(ALGORITHM)
    copy.insert(
        "learner/algorithms/registry.py", '    "ppo": Entry(', '    "calm": Entry("calm:CalmConfig", "calm:Calm"),\n'
    )
    assert "[auto|calm|ppo|" in copy.run("learner", "--help")
    assert json.loads(copy.run("config", "--json", "--algo", "calm"))["algorithm"]["calm"] == 0.25
    arguments = ("--redis", shared_server.url, "--run", run, "--actors", "1", "--envs", "4", "--max-steps", "200")
    copy.run("up", *arguments, "--eval-episodes", "1", "--out", "out", "--algo", "calm", "--calm", "0.75")
    assert hash_of(redis, Keys(run).stats)["algo"] == "calm"
    assert stored_with(redis, run)["algorithm"]["calm"] == 0.75


@one_kind
def test_up_runs_with_what_config_prints_for_a_local_run(shared_server, redis, run, tmp_path):
    """With the file that it prints, a run is made as without it. By the README's lines."""
    options = ("--run", run, "--envs", "4", "--actors", "1", "--max-steps", "200", "--eval-episodes", "1")
    line, _, file = documented("README.md", "broodmind config --up").partition(" > ")
    printed, shown = broodmind(*line.split()[1:], *options).communicate(timeout=PATIENCE_S)
    (tmp_path / file).write_text(printed)
    assert "# redis =\n" in printed, shown
    with_file = documented("README.md", "broodmind up --config").split()[2:]
    options = ("--game", "CartPole-v1", "--gamma", "0.98", *options)
    for name, arguments in ((f"{run}-1", with_file), (f"{run}-2", options)):
        process = broodmind("up", *arguments, "--redis", shared_server.url, "--run", name, "--out", "out", cwd=tmp_path)
        _, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, shown
        shutil.rmtree(tmp_path / "out")
    first, second = ({**stored_with(redis, f"{run}-{each}"), "run": run} for each in (1, 2))
    # A preset's values are typed out in the file, and so are the actor names' own.
    assert first == second


@one_kind
def test_a_learners_configuration_is_stored_with_the_run(shared_server, redis, run, tmp_path):
    (tmp_path / "run.toml").write_text("[intake]\nmax_staleness = 6\n[algorithm]\ngamma = 0.5\n")
    environment = {**os.environ, "BROODMIND_GAMMA": "0.75", "BROODMIND_REDIS": shared_server.url, "BROODMIND_RUN": run}
    learner = ("learner", "--config", "run.toml", "--n-epochs", "3")
    with running(*learner, env=environment, cwd=tmp_path):
        wait_until(lambda: redis.call("EXISTS", Keys(run).latest))
    config = stored_with(redis, run)
    assert (config["intake"]["max_staleness"], config["algorithm"]["gamma"], config["algorithm"]["n_epochs"]) == (
        6,
        0.75,
        3,
    )
    assert (config["algo"], config["run"], config["rollout"]["fragment_length"]) == ("ppo", run, 32)


@one_kind
def test_status_keeps_the_old_keys_of_its_json(shared_server, redis, run):
    common = ("--redis", shared_server.url, "--run", run)
    with running("learner", *common), running("actors", *common, "--envs", "4"):
        wait_until(lambda: "learning_rate" in hash_of(redis, Keys(run).stats))
        printed, _ = broodmind("status", *common, "--json").communicate(timeout=PATIENCE_S)
    stats = json.loads(printed)["stats"]
    assert stats["rate"] == stats["learning_rate"] == "0.0025"
    assert stats["clip"] == stats["clip_range"]
    assert {"rate", "clip", "accept_declared"} <= set(stats["deprecated_keys"])


@pytest.fixture(params=KINDS)
def guarded(request):
    """A server with a password that a URL would want encoded."""
    server = RealServer(request.param, requirepass="S3c/r?e#t@:x")
    yield server
    server.close()


def lines_of(*pids):
    """The command lines of processes and of all that came of them."""
    found, waiting = {}, list(pids)
    while waiting:
        pid = waiting.pop()
        process = Path("/proc") / str(pid)
        found[pid] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        waiting += (process / "task" / str(pid) / "children").read_text().split()
    return found


@contextmanager
def logged(path, *arguments, **options):
    """A command whose standard error goes to a file."""
    with path.open("w") as log, running(*arguments, stderr=log, **options) as process:
        yield process


# What is looked at is of our processes: each kind of server is met by a secret in a URL and by one beside it.
@pytest.mark.parametrize(
    ("guarded", "form"),
    [
        ("redis", "url"),
        ("valkey", "url in the environment"),
        ("redis", "password in the environment"),
        ("valkey", "password file"),
    ],
    indirect=["guarded"],
)
def test_no_secret_is_on_a_command_line_of_a_child_or_in_a_log(guarded, tmp_path, form):
    secret, plain = "S3c/r?e#t@:x", guarded.url
    with_secret = plain.replace("://", f"://:{secret}@")
    (tmp_path / "password").write_text(secret + "\n")
    options, environment = {
        "url": (("--redis", with_secret), {}),
        "url in the environment": ((), {"BROODMIND_REDIS": with_secret}),
        "password in the environment": (("--redis", plain), {"BROODMIND_REDIS_PASSWORD": secret}),
        "password file": (("--redis", plain, "--redis-password-file", str(tmp_path / "password")), {}),
    }[form]
    everything = {"env": {**os.environ, **environment}, "cwd": tmp_path}
    up = ("up", *options, "--actors", "2", "--envs", "4", "--out", str(tmp_path / "out"))
    with logged(tmp_path / "up.log", *up, **everything) as process:
        actors_log = tmp_path / "out" / "actor-001.log"
        wait_until(lambda: actors_log.exists() and "playing" in actors_log.read_text())
        lines = lines_of(process.pid)
        printed, _ = broodmind("status", *options, "--json", **everything).communicate(timeout=PATIENCE_S)
    children = [line for pid, line in lines.items() if pid != process.pid]
    assert sum("--inherit" in line for line in children) == 3
    assert not [line for line in children if "S3c" in line or "redis" in line.partition("broodmind.deploy.cli")[2]]
    assert json.loads(printed)["head"]["version"]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "password"]
    assert {"up.log", "learner.log", "actor-000.log"} <= {path.name for path in files}
    shown = printed + "".join(path.read_text(errors="replace") for path in files)
    assert not [form for form in ("S3c/r", "S3c%2Fr") if form in shown]


def test_no_secret_is_stored_with_the_run(guarded, run, tmp_path):
    with_secret = guarded.url.replace("://", "://:S3c/r?e#t@:x@")
    keys, server = Keys(run), guarded.connect()
    server.call("AUTH", "S3c/r?e#t@:x")
    with logged(tmp_path / "log", "learner", "--redis", with_secret, "--run", run):
        wait_until(lambda: server.call("EXISTS", keys.latest))
    assert stored_with(server, run)["connection"]["redis"].endswith(guarded.url.partition("://")[2])
    assert b"S3c" not in server.call("HGET", keys.spec, "config")
    server.close()


@pytest.mark.parametrize("guarded", ["redis"], indirect=True)  # test_bad_input.py has what each kind says
def test_a_wrong_password_is_not_in_the_error(guarded, tmp_path):
    url = guarded.url.replace("://", "://:hunter/2@")
    for command in (
        ("status",),
        ("learner",),
        ("actors",),
        ("up",),
        ("verify",),
        ("export", "--run", "x", "--to", "y"),
    ):
        process = broodmind(*command, "--redis", url, cwd=tmp_path)
        printed, shown = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 5, shown
        assert "WRONGPASS" in shown
        assert "hunter" not in printed + shown


@pytest.mark.parametrize(
    "options", ["redis://u:S3cret@127.0.0.1:PORT?foo=1", "redis://u:S3cret@127.0.0.1:abc", "S3cret"]
)
def test_an_unusable_address_gives_a_one_line_error_without_its_secret(options):
    url = options.replace("PORT", str(free_port()))
    process = broodmind("status", "--redis", url)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ConfigError.exit_code
    assert re.fullmatch(r"broodmind: redis: .*expected.*\n", shown)
    assert "S3cret" not in shown
    assert ("'foo'" in shown) == ("foo" in url)


@one_kind
def test_deprecated_option_names_start_a_whole_run(shared_server, redis, run, tmp_path):
    old = ("--rate", "1e-3", "--unroll", "16", "--normalise", "--hold-back", "0", "--set", "clip=0.1")
    arguments = ("--redis", shared_server.url, "--run", run, "--actors", "1", "--envs", "4", "--max-steps", "200")
    process = broodmind("up", *arguments, *old, "--eval-episodes", "1", "--json", "--out", str(tmp_path / "out"))
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    assert last_json(printed)["env_steps"] >= 200
    assert shown.count("is deprecated and ends with 0.3, use --") == 5
    config = stored_with(redis, run)
    assert (config["algorithm"]["learning_rate"], config["algorithm"]["clip_range"]) == (1e-3, 0.1)
    assert (config["rollout"]["fragment_length"], config["network"]["normalize_observations"]) == (16, True)
    assert counters(redis, Keys(run))["invalid"] == 0
