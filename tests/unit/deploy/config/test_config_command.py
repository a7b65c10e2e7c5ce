"""`broodmind config`: which of the configurations it prints, and in which form."""

from __future__ import annotations

import json
import tomllib

from click.testing import CliRunner

from broodmind.deploy.config.config_command import config
from broodmind.deploy.config.effective import LOCAL_ACTORS
from broodmind.deploy.config.rendering import to_reference


def printed(*options):
    result = CliRunner().invoke(config, options, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_reference_page_is_printed_as_it_is():
    assert printed("--reference") == to_reference()


def test_as_json_and_as_a_file_it_is_the_same_configuration():
    plain, file = json.loads(printed("--gamma", "0.9", "--json")), tomllib.loads(printed("--gamma", "0.9"))
    assert plain["algorithm"]["gamma"] == file["algorithm"]["gamma"] == 0.9


def test_what_up_would_choose_is_another_one_where_nothing_is_set():
    learner, up, set_by_hand = (
        json.loads(printed(*options, "--json")) for options in ((), ("--up",), ("--up", "--actors", "3"))
    )
    assert [each["actors"]["actors"] for each in (learner, up, set_by_hand)] == [1, LOCAL_ACTORS, 3]
