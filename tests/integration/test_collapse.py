"""A collapse of the return in a whole run: noticed from the games that arrive, answered, counted, and kept."""

from __future__ import annotations

import signal
from contextlib import closing
from dataclasses import replace

import pytest
from support.learners import CONFIG, head_of, learning
from support.marks import one_kind
from support.runs import SPEC, broodmind, counters, entry, hash_of, lock_step_run, make_header, trajectory
from support.servers import KINDS, PATIENCE_S, RealServer, wait_until

from broodmind.common.server.keys import Keys
from broodmind.common.wire.entry_header import Episodes
from broodmind.common.wire.trajectory import encode_trajectory
from broodmind.deploy.audit.verify import verify
from broodmind.deploy.observe.run_view import look
from broodmind.deploy.observe.status import describe, to_json
from broodmind.learner.config import CheckpointConfig, CollapseConfig, Intervals
from broodmind.learner.run.collapse import BLOCK_GAMES, BLOCK_VERSIONS

# One block a level: at first nothing, then the best, then two that are low.
LEVELS = (0.0, 1.0, 0.1, 0.1)
BEST = 1 + BLOCK_VERSIONS  # the version with which the best block begins
BACK = 1 + len(LEVELS) * BLOCK_VERSIONS  # the version with which the run is back at it
GAMES = BLOCK_GAMES // BLOCK_VERSIONS // 2  # of an entry; two make a batch
STEPS = GAMES * SPEC.rollout.fragment_length
QUICK = replace(CONFIG, intake=replace(CONFIG.intake, batch_steps=2 * STEPS), intervals=Intervals(gauges_s=0.0))


def games(level, version, number, epoch=1, actor="a"):
    """An entry with half of a version's games."""
    played = trajectory(number, columns=GAMES)
    played.terminated[-1] = True
    results = Episodes((level,) * GAMES, (SPEC.rollout.fragment_length,) * GAMES, (10**12,) * GAMES)
    header = make_header(version, epoch, STEPS, results, created_ms=10**12 * 2)
    return header.fields(encode_trajectory(replace(played, episodes=results), actor, SPEC))


def play(redis, keys, first, last):
    """Send two entries of each of these versions, once it is there. Returns the weights by version, after the first."""
    weights = {}
    for version in range(first, last + 1):
        level = LEVELS[min((version - 1) // BLOCK_VERSIONS, len(LEVELS) - 1)]
        push(redis, keys, [games(level, version, 2 * version), games(level, version, 2 * version + 1)], version)
        head_of(redis, keys, version=version + 1)
        weights[version + 1] = redis.call("GET", keys.weights(1, version + 1))
    return weights


def push(redis, keys, entries, version, actor="a"):
    beat = ("HSET", keys.heartbeat(actor), "state", "playing")
    adds = [("XADD", keys.trajectories(actor), f"7-{2 * version - 1 + n}", *each) for n, each in enumerate(entries)]
    redis.pipeline([beat, *adds])


def test_a_collapse_is_answered_with_the_best_state_and_shown(shared_server, redis, run, keys, caplog):
    with learning(shared_server.url, run, QUICK):
        head_of(redis, keys, version=1)
        weights = play(redis, keys, 1, BACK - 1)
        assert weights[BACK] == weights[BEST] != weights[BACK - 1]
        wait_until(lambda: "restorations 1" in describe(run, look(redis, keys)))
        text, shown = describe(run, look(redis, keys)), to_json(look(redis, keys))
        # What was in play then is as far from the restored policy as its versions are near.
        push(redis, keys, [entry("b", version=BACK - 1)] * 2, 1, actor="b")
        head_of(redis, keys, stale=2)
        play(redis, keys, BACK, BACK)
    assert "collapses 1   restorations 1" in text
    assert "went back to the best state" in text
    assert (shown["stats"]["collapses"], shown["stats"]["restorations"]) == ("1", "1")
    assert "of_version=11" in caplog.text
    assert verify(shared_server.url, run).violations == []


@pytest.mark.parametrize("answer", ["warn", "off"])
def test_a_run_that_shall_not_go_back_goes_on(shared_server, redis, run, keys, answer):
    with learning(shared_server.url, run, replace(QUICK, collapse=CollapseConfig(answer))):
        head_of(redis, keys, version=1)
        weights = play(redis, keys, 1, BACK - 1)
        text = describe(run, look(redis, keys))
    assert weights[BACK] not in {weights[BEST], weights[BACK - 1]}
    assert ("the return has collapsed" in text) == (answer == "warn")
    assert not redis.call("EXISTS", keys.restore_point)


@one_kind
def test_a_learner_that_is_killed_leaves_all_that_its_successor_needs_to_go_back(
    shared_server, redis, run, keys, tmp_path
):
    """Bit for bit as one that was not killed: in a block, just before it goes back, and after that."""
    config = tmp_path / "run.toml"
    config.write_text('[game_spec]\nname = "toy"\nobservation_shape = [3]\nactions = 2\n')

    def command(keys):
        return broodmind(
            *("learner", "--redis", shared_server.url, "--run", keys.run, "--config", str(config), "--hidden", "8"),
            *("--fragment-length", "4", "--batch-steps", str(2 * STEPS), "--max-age", "1e12", "--lease-ttl", "0.2"),
        )

    def learn(keys, *stops):
        found, first = {}, 1
        for last in stops:
            process = command(keys)
            try:
                head_of(redis, keys, version=first)
                found |= play(redis, keys, first, last)
            finally:
                process.send_signal(signal.SIGKILL)
                process.communicate(timeout=PATIENCE_S)
            first = last + 1
        return found

    alone = learn(Keys(f"{run}-alone"), BACK + 1)
    assert alone[BACK] == alone[BEST]
    assert learn(keys, BEST + 5, BACK - 1, BACK + 1) == alone


def test_an_emptied_server_gets_the_best_state_back(tmp_path):
    """From the memory of a learner that goes on, and from a checkpoint of one that does not."""
    config = replace(QUICK, checkpointing=CheckpointConfig(tmp_path, checkpoint_every=0))
    for name in ("memory", "checkpoint"):
        keys, server = Keys(name), RealServer(KINDS[0])
        with learning(server.url, name, config):
            head_of(server.connect(), keys, version=1)
            weights = play(server.connect(), keys, 1, BACK - 2)
            if name == "memory":
                server.kill()
                server.start()
                head_of(server.connect(), keys, epoch=2, version=BACK)
        if name == "checkpoint":
            server.kill()
            server.start()
        with learning(server.url, name, config):
            head_of(server.connect(), keys, epoch=2, version=BACK)
            redis = server.connect()
            push(redis, keys, [games(0.1, BACK, number, 2, "b") for number in (1, 2)], 1, actor="b")
            head_of(redis, keys, version=BACK + 1)
            assert redis.call("GET", keys.weights(2, BACK + 1)) == weights[BEST]
        server.close()
        for file in tmp_path.iterdir():
            file.unlink()


# Games of one step each, and one that resets. What an action brings depends on how many fragments were played before.
_SWINGING = """
import numpy as np

from broodmind import Discrete, GameSpec
from broodmind.actors.games.vector_game import Step


class Swinging:
    spec = GameSpec("swinging", (1,), Discrete(2))

    def __init__(self, num_envs):
        self.num_envs, self.steps = num_envs, 0

    def reset(self, seed):
        return self._step(0.0, ends=False)

    def step(self, actions):
        fragment = self.steps // 16
        ends = self.steps % 2 == 0
        self.steps += 1
        level = float(10 <= fragment < 20)
        return self._step((level + 0.1 * actions) * ends, ends=ends)

    def _step(self, rewards, *, ends):
        count = self.num_envs
        return Step(
            np.ones((count, 1), np.float32),
            np.broadcast_to(np.float32(rewards), count).astype(np.float32),
            np.full(count, ends),
            np.zeros(count, np.bool_),
        )

    def close(self):
        pass


def make(num_envs):
    return Swinging(num_envs)
"""


def test_a_collapse_in_lock_step_is_answered_in_the_same_commit_bit_for_bit(each_server, run, tmp_path):
    """On a server of another kind, and with actors that come in another order, too."""
    module = tmp_path / "swinging.py"
    module.write_text(_SWINGING)

    def play(server, name, *names):
        keys, batch = Keys(name), ("--fragment-length", "16", "--batch-steps", "128")
        with closing(server.connect()) as redis:
            lock_step_run(server, name, *batch, "--max-steps", "2700", game=f"{module}:make", names=names)
            stats = hash_of(redis, keys.stats)
            assert (stats["collapses"], stats["restorations"]) == ("1", "1")
            return redis.call("GET", keys.weights(1, counters(redis, keys)["version"]))

    one, another = each_server
    assert play(one, f"{run}-1", "a", "b") == play(another, f"{run}-2", "b", "a")
