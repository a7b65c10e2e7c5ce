"""Games that were played elsewhere, through the stream of a real server into a run."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from support.bot_files import REAL, write_game, write_games, write_model
from support.marks import one_kind
from support.runs import SPEC, broodmind, counters, hash_of, joined_connection, last_json, make_header, running, stopped
from support.servers import PATIENCE_S, wait_until

from broodmind.actors.offline.importer import import_files
from broodmind.common.errors import ConfigError
from broodmind.common.process.shutdown import Stop
from broodmind.common.server.keys import Keys
from broodmind.common.wire.codec import decode, take_array
from broodmind.common.wire.demand import Demand
from broodmind.common.wire.entry_header import parse_entry
from broodmind.learner.ledger.counters import REJECTIONS


@contextmanager
def learning(redis, url, run, *options):
    """A learner in a process of its own, once it has published its first version."""
    with running("learner", "--redis", url, "--run", run, *options) as learner:
        wait_until(lambda: redis.call("EXISTS", Keys(run).latest) or learner.poll() is not None)
        assert learner.poll() is None, learner.communicate()
        yield learner


def imported(url, run, *arguments, code=0):
    """What `broodmind import --json` says."""
    process = broodmind("import", "--redis", url, "--run", run, "--json", *map(str, arguments))
    try:
        printed, shown = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()  # what should have ended by itself must not outlive the test
    assert process.returncode == code, shown
    assert "Traceback" not in shown
    return last_json(printed) if printed else shown.strip().splitlines()[-1]


ALGORITHMS = {
    "vtrace": ("--algo", "vtrace"),
    "reinforce": ("--algo", "reinforce"),
    "decoupled": ("--algo", "ppo", "--decoupled"),
}


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_imported_games_are_trained_on_once_and_counted_separately(shared_server, redis, run, tmp_path, algo):
    keys, url = Keys(run), shared_server.url
    files = write_games(tmp_path / "games", 20, 30)
    steps = sum(30 + number - 1 for number in range(20))
    with learning(redis, url, run, "--game", "ZergMacro", *ALGORITHMS[algo], "--accept-imported"):
        report = imported(url, run, *files, "--behaviour", "uniform", "--name", "bot")
        wait_until(lambda: counters(redis, keys)["steps"] == steps, lambda: str(counters(redis, keys)))
    head, stats = counters(redis, keys), hash_of(redis, keys.stats)
    assert (report["taken"], report["rejected"], report["games"], report["steps"]) == (20, {}, 20, steps)
    assert head["games"] == 20
    assert head["accepted"] == head["imported"] == report["entries"]
    assert sum(head[name] for name in REJECTIONS) == head["lost"] == 0
    assert head["version"] == head["updates"] + 1 > 1
    assert redis.call("XLEN", keys.trajectories("bot")) == 0
    # The figures are about what this run's own versions do, and these have not played.
    played = {name for name in stats if name.startswith(("staleness", "age_s", "return", "win"))}
    assert played == {"staleness_limit"}  # what it follows from, not what was measured


def test_an_import_beside_actors_does_not_change_their_metrics(shared_server, redis, run, tmp_path):
    keys, url = Keys(run), shared_server.url
    files = write_games(tmp_path / "games", 30, 60)
    with (
        running("actors", "--redis", url, "--run", run, "--envs", "8"),
        learning(redis, url, run, "--algo", "vtrace", "--accept-imported", "--batch-steps", "512"),
    ):
        report = imported(url, run, tmp_path / "games", "--behaviour", "uniform")
        wait_until(lambda: counters(redis, keys)["imported"] == report["entries"])
        seen = counters(redis, keys)["accepted"]
        wait_until(lambda: counters(redis, keys)["accepted"] > seen + 20)
    head, stats = counters(redis, keys), hash_of(redis, keys.stats)
    assert report["taken"] == len(files)
    assert head["accepted"] > head["imported"] == report["entries"]
    assert float(stats["staleness_max"]) <= 4
    assert abs(float(stats["return_mean"])) <= 2  # TinyZerg's; the imported games' are in the tens


def test_a_learner_without_accept_imported_rejects_and_counts_imported_games(shared_server, redis, run, tmp_path):
    keys, url = Keys(run), shared_server.url
    (file,) = write_games(tmp_path / "games", 1)
    with learning(redis, url, run, "--algo", "vtrace"):
        line = imported(url, run, file, "--behaviour", "uniform", code=ConfigError.exit_code)
        assert "--accept-imported" in line
        assert not redis.call("KEYS", keys.trajectories("import*"))
        # A client that pushes all the same.
        redis.call("SET", keys.incarnation("bot"), "7 x")
        header = make_header(0, 0, 1, 0, 2 * 10**12, imported=True)
        redis.call("XADD", keys.trajectories("bot"), "7-1", *header.fields(b"never decoded"))
        wait_until(lambda: counters(redis, keys).get("off_run") == 1)
    head = counters(redis, keys)
    assert (head["accepted"], head["imported"], head["invalid"]) == (0, 0, 0)
    assert redis.call("XLEN", keys.trajectories("bot")) == 0


@one_kind
def test_invalid_files_are_refused_by_name_and_the_others_imported(shared_server, redis, run, tmp_path):
    keys, url = Keys(run), shared_server.url
    good = write_game(tmp_path / "exp_20260125_120000_ep0.npz", 20)
    bad = {
        write_game(tmp_path / "a.npz", rewards=np.zeros(2560)): "rewards: 2560, expected 20",
        write_game(tmp_path / "b.npz", states=None): "states: missing",
        write_game(tmp_path / "c.npz", features=12): "states: 12 features, expected 15",
        write_game(tmp_path / "d.npz", actions=np.zeros(20)): "actions: dtype float64",
        write_model(tmp_path / "rl_agent_model.npz"): "states: missing",
        tmp_path / "torn.npz": "file: ",
        tmp_path / "absent.npz": "file: missing",
        tmp_path / "x.archive": "file: does not begin",
    }
    (tmp_path / "torn.npz").write_bytes(good.read_bytes()[:200])
    (tmp_path / "x.archive").write_bytes(b"")
    with learning(redis, url, run, "--algo", "vtrace", "--accept-imported"):
        report = imported(url, run, *bad, good, "--behaviour", "uniform")
        wait_until(lambda: counters(redis, keys)["imported"] == 1)
        nothing = imported(url, run, *bad, "--behaviour", "uniform", code=ConfigError.exit_code)
        padded = imported(url, run, tmp_path / "c.npz", "--behaviour", "uniform", "--observation-fit", "pad")
    assert (report["taken"], report["games"], report["steps"]) == (1, 1, 19)
    assert report["rejected"].keys() == nothing["rejected"].keys() == {str(path) for path in bad}
    for path, why in bad.items():
        assert report["rejected"][str(path)].startswith(why)
    assert (nothing["taken"], padded["taken"]) == (0, 1)


def test_every_real_file_is_imported_or_refused_as_its_folder_name_says(shared_server, redis, run):
    if not REAL.exists():
        return
    keys, url = Keys(run), shared_server.url
    common = ("--activation", "relu", "--init-from", str(next((REAL / "model").glob("*.npz"))))
    with learning(redis, url, run, "--game", "ZergMacro", "--algo", "vtrace", "--accept-imported", *common):
        report = imported(url, run, REAL / "experience", REAL / "corrupted", "--behaviour", "uniform")
        wait_until(lambda: counters(redis, keys)["steps"] == 713)
    assert (report["taken"], report["games"], len(report["rejected"])) == (14, 14, 8)
    assert {why.partition(":")[0] for why in report["rejected"].values()} == {"rewards"}
    assert counters(redis, keys)["games"] == 14


@one_kind
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "behaviour: none, expected --behaviour uniform"),
        (("--behaviour", "epsilon:0.9"), "expected --model"),
        (("--behaviour", "sure"), "behaviour: 'sure', expected uniform"),
        (("--behaviour", "epsilon:0.9", "--model", "nowhere.npz"), "model nowhere.npz: file: missing"),
    ],
)
def test_the_behaviour_policy_must_be_given(shared_server, run, tmp_path, options, expected):
    (file,) = write_games(tmp_path / "games", 1)
    assert expected in imported(shared_server.url, run, file, *options, code=ConfigError.exit_code)


def test_epsilon_greedy_behaviour_reaches_the_learner_as_probabilities(shared_server, redis, run, tmp_path):
    keys, url = Keys(run), shared_server.url
    model = write_model(tmp_path / "rl_agent_model.npz")
    (file,) = write_games(tmp_path / "games", 1)
    patient = ("--lease-ttl", "60")  # it is stopped for as long as an import takes
    with learning(redis, url, run, "--algo", "vtrace", "--accept-imported", *patient) as learner:
        with stopped(learner):
            imported(url, run, file, "--behaviour", "epsilon:0.9", "--model", model, "--name", "bot")
            ((_, fields),) = redis.call("XRANGE", keys.trajectories("bot"), "-", "+")
        wait_until(lambda: counters(redis, keys)["imported"] == 1)
    header, payload = parse_entry(fields)
    assert header.imported
    assert fields[-4:-2] == [b"imported", b"1"]
    log_probs = take_array(decode(payload, max_bytes=10**6), "log_probs", ("<f4",), (19, 1))
    assert set(np.round(np.exp(log_probs[:, 0]), 4)) == {np.float32(0.18), np.float32(0.28)}


def test_an_interrupted_import_reports_what_it_has_imported(shared_server, redis, run, tmp_path):
    """No learner consumes anything here: the importer fills its stream and waits."""
    keys, url = Keys(run), shared_server.url
    game = replace(SPEC.game, observation_shape=(15,))
    spec = replace(SPEC, game=game, rollout=replace(SPEC.rollout, unroll="games", fragment_length=100))
    joined_connection(url, run, "somebody", spec).leave()
    redis.call("HSET", keys.stats, "accept_imported", 1)
    redis.call("SET", keys.demand, Demand(1, 0, 4, 1 << 20, 0, 4).to_json())
    for number in range(9):
        write_game(tmp_path / f"{number}.npz", actions=np.ones(20, np.int64))
    process = broodmind(
        "import", "--redis", url, "--run", run, "--json", "--behaviour", "uniform", "--name", "bot", str(tmp_path)
    )
    full = 4
    wait_until(lambda: redis.call("XLEN", keys.trajectories("bot")) == full)
    wait_until(lambda: hash_of(redis, keys.heartbeat("bot")).get("state") == "waiting")
    process.send_signal(signal.SIGTERM)
    printed, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    report = json.loads(printed)
    assert (report["interrupted"], report["entries"], report["games"]) == (True, full, full)
    assert report["taken"] <= full
    assert not redis.call("EXISTS", keys.heartbeat("bot"))


def test_a_run_whose_game_these_files_cannot_contain_is_refused(shared_server, redis, run, tmp_path):
    keys, url = Keys(run), shared_server.url
    (file,) = write_games(tmp_path / "games", 1)
    joined_connection(url, run, "somebody", replace(SPEC, game=replace(SPEC.game, masked=True))).leave()
    redis.call("HSET", keys.stats, "accept_imported", 1)
    line = imported(url, run, file, "--behaviour", "uniform", code=ConfigError.exit_code)
    assert "masked of toy: True, expected False" in line


class StopAt(Stop):
    """Is requested when it is asked for the n-th time."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    @property
    def requested(self):
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize("has_spec", [False, True])
def test_an_import_told_to_stop_before_a_learner_has_spoken_pushes_nothing(shared_server, redis, run, has_spec):
    keys = Keys(run)
    if has_spec:
        redis.call("HSET", keys.spec, "json", SPEC.to_json(), "digest", SPEC.digest)
    stop = StopAt(5)
    report = import_files(shared_server.url, keys, "bot", [], None, stop)
    assert report.interrupted
    assert stop.left == 0  # it asked again and again
    assert not redis.call("EXISTS", keys.roster, keys.trajectories("bot"))
