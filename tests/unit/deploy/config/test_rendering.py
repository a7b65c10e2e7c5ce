"""The configuration as text: a file that --config takes, and the reference page."""

from __future__ import annotations

import tomllib
from dataclasses import replace

from support.paths import ROOT

from broodmind.common.actions import Discrete
from broodmind.common.spec import GameSpec
from broodmind.deploy.config.effective import effective
from broodmind.deploy.config.given import of_file, of_values
from broodmind.deploy.config.rendering import to_reference, to_toml
from broodmind.deploy.config.tree import entries

GAME = GameSpec("cards", (3,), Discrete(2))


def test_the_printed_configuration_is_a_file_that_gives_the_same_configuration(tmp_path):
    for algo in ("ppo", "vtrace", "reinforce"):
        config = effective(of_values({"algo": algo, "hidden": "8,4", "run": 'a "b"', "max_steps": 5}, ""), GAME)
        arguments = {"size": 5, "map name": 'a "b"', "walls": [1, {"x": 0.5}], "é": False}
        config = replace(config, game_args=arguments)
        (tmp_path / "run.toml").write_text(to_toml(config))
        assert effective(of_file(tmp_path / "run.toml"), GAME) == config


def test_every_setting_is_printed_with_its_help_and_range():
    text = to_toml(effective(of_values({}, ""), GAME))
    for entry in entries().values():
        if not entry.defaults or "ppo" in entry.defaults:
            assert entry.field.setting.secret or entry.field.setting.help in text
    assert "# Discount factor of a step. (a finite number of at least 0 and at most 1)\ngamma = 0.99\n" in text
    assert "clip_range = 0.2" in text
    assert "rho_bar" not in text
    assert tomllib.loads(text)["algorithm"]["schedule"]["kl_target"] == 0.0


def test_secrets_in_a_url_are_not_printed(tmp_path):
    config = effective(of_values({"redis": "redis://u:S3cret@h:1", "redis_password": "S3cret"}, ""), GAME)
    text = to_toml(config)
    assert "S3cret" not in text
    assert '# redis = "redis://u:***@h:1"' in text
    (tmp_path / "run.toml").write_text(text)
    assert of_file(tmp_path / "run.toml").get("redis") is None


def test_the_reference_page_is_up_to_date():
    """Made anew by: broodmind config --reference > docs/settings.md."""
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == to_reference()
    assert all(f"| `{name}` |" in page for name in entries())


def test_no_two_tables_have_the_same_heading():
    headings = [line.partition(": `[")[0] for line in to_reference().splitlines() if line.startswith("#")]
    assert len(set(headings)) == len(headings)
