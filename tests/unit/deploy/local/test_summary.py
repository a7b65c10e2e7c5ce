"""The summary of a run that ended before there was anything to sum up."""

from __future__ import annotations

from broodmind.common.server.keys import Keys
from broodmind.deploy.config.tree import Config
from broodmind.deploy.local.monitor import Seen
from broodmind.deploy.local.summary import evaluated
from broodmind.deploy.records.run_folder import RunFolder


class Empty:
    """A server without the run."""

    def pipeline(self, _commands):
        return [[], [], None, []]

    def replies(self, _commands):
        return []


def test_a_run_without_a_commit_has_no_summary_and_nothing_is_evaluated(tmp_path):
    assert evaluated(Empty(), Keys("run"), Config(game="no game at all"), RunFolder(tmp_path), Seen(), 0) is None
