"""What is said of experience files before any of them is read."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from broodmind.common.errors import RedisUnreachable
from broodmind.deploy.local.import_games import import_


@pytest.mark.parametrize(("episodes", "later"), [((0,), 0), ((0, 3, 7), 2)])
def test_that_a_bot_had_learnt_by_then_is_said_of_files_taken_for_uniform(tmp_path, episodes, later):
    files = [tmp_path / f"exp_20260125_120000_ep{episode}.npz" for episode in episodes]
    result = CliRunner().invoke(
        import_, ["--redis", "redis://127.0.0.1:1", "--behaviour", "uniform", *(str(file) for file in files)]
    )
    assert isinstance(result.exception, RedisUnreachable)  # it goes on
    assert (f"{later} files such as exp_20260125_120000_ep3.npz" in result.stderr) == bool(later)
