"""State vectors of another length than the run's are taken where the run says how, by actors, clients and imports."""

import numpy as np
import pytest
from support.bot_files import write_game
from support.runs import broodmind, hash_of, last_json, running
from support.servers import wait_until

from broodmind import connect
from broodmind.common.actions import Discrete
from broodmind.common.errors import SpecMismatch
from broodmind.common.server.keys import Keys
from broodmind.common.spec import GameSpec

GAME = """
import gymnasium
import numpy as np

class Long(gymnasium.Env):
    features = 15
    action_space = gymnasium.spaces.Discrete(5)

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0, 1, (self.features,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(self.features, np.float32), {}

    def step(self, action):
        return np.ones(self.features, np.float32), 1.0, self.np_random.random() < 0.1, False, {}

class Short(Long):
    features = 12
"""


@pytest.fixture
def games(tmp_path, monkeypatch):
    """A module of games."""
    (tmp_path / "ones.py").write_text(GAME)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize("fit", ["exact", "cut", "pad"])
def test_shorter_states_are_padded_only_where_the_run_says_so(shared_server, redis, run, tmp_path, games, fit):
    keys, common = Keys(run), ("--redis", shared_server.url, "--run", run)
    learner = (
        "learner",
        *common,
        "--game",
        "ones:Long",
        "--algo",
        "vtrace",
        "--accept-imported",
        "--batch-steps",
        "10",
    )
    file = write_game(tmp_path / "exp_20260125_120000_ep0.npz", 20, features=12)
    with running(*learner, "--observation-fit", fit):
        wait_until(lambda: redis.call("EXISTS", keys.latest))
        actor = broodmind("actor", *common, "--name", "a", "--game", "ones:Short", "--envs", "2", stdin=-1)
        try:
            if fit == "pad":
                wait_until(lambda: int(hash_of(redis, keys.head)["steps"]) > 0 or actor.poll() is not None)
                assert actor.poll() is None
            else:
                assert actor.wait(60) == SpecMismatch.exit_code
        finally:
            actor.kill()
            actor.communicate()
        with connect(shared_server.url, run, game=GameSpec("mine", (12,), Discrete(5)), name="b") as agent:
            wait_until(lambda: agent.status.version or agent.status.problem)
            assert ("observation_shape" in agent.status.problem) == (fit != "pad")
            with agent.episode() as game:
                game.act(np.ones(12))
                game.end("win")
            assert agent.flush(30)
            assert agent.status.sent == (fit == "pad")
        imported = broodmind("import", *common, "--json", str(file), "--behaviour", "uniform", stdin=-1)
        printed, shown = imported.communicate(timeout=60)
        assert last_json(printed)["taken"] == (fit == "pad"), shown
        if fit == "pad":
            wait_until(lambda: int(hash_of(redis, keys.head)["imported"]) == 1)
        assert hash_of(redis, keys.head)["invalid"] == "0"
