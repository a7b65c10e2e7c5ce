"""The ACL file as text: who is in it, with which password, for which server."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from broodmind.common.errors import ConfigError, RedisUnreachable
from broodmind.deploy.access.acl import LEARNER_COMMANDS, acl, rights_of


def run_acl(*options):
    result = CliRunner().invoke(acl, ["--run", "zerg", *options], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def users(text):
    """Each user's rules, by name."""
    return {line.split()[1]: line.split()[2:] for line in text.splitlines()}


def test_each_role_has_a_user_and_the_default_user_is_off():
    found = users(run_acl("--actors", "box1, box2", "--server", "valkey-9").stdout)
    roles = ["zerg~learner", "zerg~auditor", "zerg~evaluator", "zerg~monitor", "zerg~actor~box1", "zerg~actor~box2"]
    assert list(found) == ["default", *roles]
    assert found.pop("default") == ["off"]
    assert all(rules[0] == "on" and rules[2:4] == ["resetchannels", "-@all"] for rules in found.values())
    assert not [rule for rules in found.values() for rule in rules if rule.startswith(("+@", "nopass", "allkeys", ">"))]


def test_passwords_are_printed_once_and_the_file_has_their_hashes():
    result = run_acl("--actors", "box1", "--server", "valkey-9")
    told = dict(line.split() for line in result.stderr.splitlines())
    found = users(result.stdout)
    assert set(told) == set(found) - {"default"}
    assert len(set(told.values())) == 5
    for user, password in told.items():
        assert len(password) >= 32
        assert found[user][1] == "#" + hashlib.sha256(password.encode()).hexdigest()
        assert password not in result.stdout


def test_json_output_has_the_same_file_and_passwords():
    result = run_acl("--actors", "box1", "--server", "valkey-9", "--json")
    made = json.loads(result.stdout)
    assert not result.stderr
    for user, password in made["passwords"].items():
        assert users(made["acl"])[user][1] == "#" + hashlib.sha256(password.encode()).hexdigest()


def test_a_password_whose_hash_is_given_is_not_made():
    given = hashlib.sha256(b"secret").hexdigest()
    result = run_acl("--actors", "box1", "--server", "valkey-9", "--sha256", f"zerg~learner={given}")
    assert users(result.stdout)["zerg~learner"][1] == f"#{given}"
    assert "zerg~learner" not in result.stderr


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("zerg~nobody=" + "0" * 64, "user 'zerg~nobody', expected one of zerg~learner"),
        ("zerg~learner=secret", "6 characters for zerg~learner, expected 64 hex digits"),
        ("zerg~learner", "0 characters"),
        ("zerg~learner=" + "A" * 64, "lower case"),
    ],
)
def test_an_invalid_hash_is_refused_without_being_shown(given, match):
    with pytest.raises(ConfigError, match=match) as refused:
        run_acl("--actors", "box1", "--server", "valkey-9", "--sha256", given)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("actors", ["", "a b", "a:b", "a,,b", "box*", "box[12]", "a,a", "box,box-001", "box-001,box"])
def test_names_whose_key_patterns_overlap_are_refused(actors):
    with pytest.raises(ConfigError, match="actors: "):
        run_acl("--actors", actors, "--server", "valkey-9")


def test_similar_names_whose_key_patterns_do_not_overlap_are_accepted():
    found = users(run_acl("--actors", "box,box-01,box-0001,box-001-002", "--server", "valkey-9").stdout)
    assert len(found) == 9


@pytest.mark.parametrize(("server", "known"), [("redis-7.0", False), ("redis-7.2", True), ("valkey-9", True)])
def test_commands_unknown_to_redis_7_0_are_left_out_for_it(server, known):
    assert ("+client|setinfo" in run_acl("--actors", "a", "--server", server).stdout) == known


def test_without_the_server_option_the_server_is_asked_for_its_version():
    with pytest.raises(RedisUnreachable):
        run_acl("--actors", "a", "--redis", "redis://127.0.0.1:1")


@pytest.mark.parametrize(("version", "known"), [(b"7.0.15", False), (b"7.2.4", True), (b"8.0.0", True)])
def test_the_server_s_own_version_says_what_it_knows(monkeypatch, version, known):
    told = b"# Server\r\nredis_version:" + version + b"\r\n"
    monkeypatch.setattr("broodmind.common.server.streams.Server.call", lambda *_: told)
    assert ("+client|setinfo" in run_acl("--actors", "a").stdout) == known


def test_a_server_that_hides_its_version_must_be_named(monkeypatch):
    monkeypatch.setattr("broodmind.common.server.streams.Server.call", lambda *_: b"# Server\r\nuptime:1\r\n")
    with pytest.raises(
        ConfigError, match=r"server: redis://.* does not report its version, expected --server with one of"
    ):
        run_acl("--actors", "a")


def test_the_learners_rights_are_what_its_code_calls():
    folder = Path(str(files("broodmind.learner")))
    sources = [file.read_text() for kind in ("*.py", "*.lua") for file in folder.rglob(kind)]
    scripted = re.findall(r"redis\.p?call\('([A-Z]+)'(?:, '(CREATE|USAGE)')?", "\n".join(sources))
    called = re.findall(r"\(\(?\"([A-Z]+)\", ", "\n".join(sources))
    used = {"|".join(filter(None, words)).lower() for words in scripted} | {word.lower() for word in called}
    # A transaction's frame has no arguments; modules that are not the learner's call scripts and ask for the time.
    assert used | {"multi", "exec", "eval", "evalsha", "time"} == set(LEARNER_COMMANDS)


def test_an_actor_may_write_only_its_own_keys():
    rules = rights_of("zerg", ["box1"], introduces=False)["zerg~actor~box1"]
    written = set(re.findall(r"%W~(\S+)", rules))
    assert {key.rpartition(":")[2] for key in written} == {"box1", "box1-[0-9][0-9][0-9]"}
