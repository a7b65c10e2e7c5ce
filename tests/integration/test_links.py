"""A run over bad or encrypted links: no game stalls, no lease is lost, and each game counts once."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from support.books import audit
from support.clients import GAME, STEPS
from support.learners import counters, learning
from support.link import Conditions, Link
from support.runs import broodmind, last_json, running
from support.servers import PATIENCE_S, RealServer, free_port, wait_until
from support.tls import certificate, server_side

from broodmind import connect
from broodmind.common.errors import RedisUnreachable
from broodmind.common.server.keys import Keys
from broodmind.common.spec import NetworkSpec, RolloutSpec, RunSpec
from broodmind.learner.config import IntakeConfig, LearnerConfig, LeaseConfig

RECORDED = 60  # games, at least
# Nothing is stale, and a batch takes several round trips of the client.
CONFIG = LearnerConfig(intake=IntakeConfig(batch_steps=400, batch_wait=1.0, max_staleness=1000))
# Weights of 85 kB: with the optimizer's state a commit is three times that, which takes 2 seconds at 1 Mbit/s.
SPEC = RunSpec(GAME, NetworkSpec(hidden=(96, 96)), RolloutSpec("steps", 16))
# A call that waits for the network takes this long at least on each of the links below.
STALL_S = 0.1

LATENCY = Conditions(delay_s=0.1)  # each way
NARROW = Conditions(delay_s=0.02, bytes_per_s=125_000)  # 1 Mbit/s
LOSSY = Conditions(delay_s=0.05, loss=0.03)
CUTS = {20, 40}  # games after which the client's connection breaks, on a lossy link


# The link is what is tested, and of it mostly waits: one kind of server is enough.
one_kind = pytest.mark.parametrize("shared_server", ["valkey"], indirect=True)


class Stopwatch:
    """How long each call took that the game made."""

    def __init__(self):
        self.took_s = []

    def __call__(self, call, *arguments):
        began_s = time.perf_counter()
        result = call(*arguments)
        self.took_s.append(time.perf_counter() - began_s)
        return result


def play(agent, done, after=lambda _: None):
    """Games at the pace of a bot until `done`. Returns how many, and how long each call took."""
    watch, games = Stopwatch(), 0
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline_s, agent.status
        game = watch(agent.episode)
        for step in range(STEPS):
            watch(game.act, [games, step, 0])
            watch(game.reward, 1)
        watch(game.end, "win")
        games += 1
        after(games)
        time.sleep(0.01)
    return games, watch.took_s


def check_a_run(server, run, folder, learner_url, client_url, after=lambda _: None):
    """Play and learn over these URLs until a client has seen new versions, and account for every game."""
    keys, redis = Keys(run), server.connect()
    with learning(learner_url, run, CONFIG, SPEC):
        with connect(client_url, run, game=GAME, journal=folder, spool_dir=folder / "spool") as agent:
            assert agent.wait_until_ready(PATIENCE_S), agent.status
            newer = agent.status.version + 1
            games, took_s = play(agent, lambda: agent.status.version >= newer and agent.status.sent >= RECORDED, after)
            assert agent.flush(PATIENCE_S), agent.status
            status = agent.status
        # What it is ahead of the learner by, at the beginning above all, is given up before its first step.
        assert (status.sent + status.overflow, status.queued, status.lost, status.aborted) == (games, 0, 0, 0)
        wait_until(lambda: counters(redis, keys)["games"] == status.sent, lambda: (counters(redis, keys), status))
        assert redis.call("GET", keys.fence) == b"1", "the lease was lost, and taken again"
    redis.close()
    slow = sum(seconds > STALL_S for seconds in took_s)
    assert slow < len(took_s) / 50, f"{slow} of {len(took_s)} calls took longer than {STALL_S} s"
    metrics = audit(server.url, run, folder)
    assert metrics["accepted"] == metrics["acknowledged"]
    assert [metrics[name] for name in ("lost", "duplicate", "stale", "wrong_epoch", "epochs")] == [0, 0, 0, 0, 1]


@one_kind
def test_a_run_over_a_link_of_100_ms_each_way_stalls_no_game_and_counts_each_once(shared_server, run, tmp_path):
    with Link(shared_server.port, LATENCY) as one, Link(shared_server.port, LATENCY) as other:
        check_a_run(shared_server, run, tmp_path, one.url, other.url)


@one_kind
def test_a_run_over_a_link_that_loses_and_breaks_stalls_no_game_and_counts_each_once(shared_server, run, tmp_path):
    rng = random.Random(1)
    with Link(shared_server.port, LOSSY, rng=rng) as one, Link(shared_server.port, LOSSY, rng=rng) as other:

        def break_it(games):
            if games in CUTS:
                other.cut()

        check_a_run(shared_server, run, tmp_path, one.url, other.url, break_it)
        assert other.connections > 1


@one_kind
def test_a_run_over_1_mbit_per_second_learns_though_commits_take_longer_than_the_timeout(shared_server, run, tmp_path):
    with Link(shared_server.port, NARROW) as one, Link(shared_server.port, NARROW) as other:
        urls = [f"{link.url}?socket_timeout=1" for link in (one, other)]  # a fifth of the usual, and so are the weights
        check_a_run(shared_server, run, tmp_path, *urls)


@one_kind
def test_a_learner_keeps_its_lease_while_its_first_commit_takes_longer_than_that_lives(shared_server, redis, run):
    with Link(shared_server.port, Conditions(bytes_per_s=62_500)) as link:  # the commit takes 4 seconds
        with learning(link.url, run, replace(CONFIG, lease=LeaseConfig(lease_ttl=2.0)), SPEC):
            wait_until(lambda: counters(redis, Keys(run)).get("version"))
        assert redis.call("GET", Keys(run).fence) == b"1"


def test_a_run_over_tls_stalls_no_game_and_counts_each_once(shared_server, run, tmp_path):
    made = certificate(tmp_path)
    with Link(shared_server.port, Conditions(delay_s=0.02), tls=server_side(made)) as link:
        url = f"{link.url}?ssl_ca_certs={made.certificate}"
        check_a_run(shared_server, run, tmp_path, url, url)


@pytest.fixture
def tls_server(tmp_path):
    """A server that speaks TLS alone, as Debian's can; the wheel's Valkey is built without it."""
    made, plain = certificate(tmp_path), str(free_port())
    files = {"tls-cert-file": str(made.certificate), "tls-key-file": str(made.key), "tls-auth-clients": "no"}
    server = RealServer("redis", **{"tls-ca-cert-file": str(made.certificate), **files, "tls-port": plain})
    yield server, f"rediss://127.0.0.1:{plain}", made.certificate
    server.close()


def test_every_command_is_told_by_the_url_which_authority_to_trust(tls_server, run):
    server, url, authority = tls_server
    common = ("--redis", f"{url}?ssl_ca_certs={authority}", "--run", run)
    with running("learner", *common, "--batch-steps", "64"), running("actors", *common, "--actors", "1"):
        redis = server.connect()
        wait_until(lambda: counters(redis, Keys(run)).get("version", 0) > 2)
        redis.close()
        shown, _ = broodmind("status", *common, "--json").communicate(timeout=PATIENCE_S)
    assert last_json(shown)["head"]["version"] != "0"


def test_a_certificate_that_is_not_trusted_is_said_and_how_to_trust_it(tls_server, run):
    _, url, authority = tls_server
    process = broodmind("status", "--redis", url, "--run", run)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == RedisUnreachable.exit_code
    assert "expected a certificate for this host from an authority that this machine trusts" in shown
    with connect(url, run, actions=5) as agent:
        wait_until(lambda: "ssl_ca_certs=FILE" in agent.status.problem, lambda: agent.status)
    with connect(f"{url}?ssl_ca_certs={authority}", run, actions=5) as agent:
        wait_until(lambda: agent.status.connection == "waiting for a learner", lambda: agent.status)
