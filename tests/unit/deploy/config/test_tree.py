"""The tree of settings: each has one name and one place."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from broodmind.common.server.address import PASSWORD_VARIABLE
from broodmind.deploy.config.tree import Config, entries, groups
from broodmind.learner.algorithms import registry


def test_a_setting_has_one_name_in_every_form():
    entry = entries()["max_staleness"]
    assert (entry.option, entry.variable, entry.key) == (
        "--max-staleness",
        "BROODMIND_MAX_STALENESS",
        "intake.max_staleness",
    )
    assert entries()["kl_target"].key == "algorithm.schedule.kl_target"
    assert entries()["run"].key == "run"


def test_an_algorithms_setting_lists_the_algorithms_that_have_it_and_their_defaults():
    assert entries()["clip_range"].defaults == {"ppo": 0.2, "impact": 0.2}
    assert entries()["kl_target"].defaults == {"ppo": 0.0, "impact": 0.0, "vtrace": 0.002, "reinforce": 0.0}
    assert entries()["max_age"].defaults == {}


@pytest.mark.parametrize("name", entries())
def test_every_setting_has_one_line_of_help(name):
    field = entries()[name].field
    assert field.setting.help.rstrip("`)").endswith(".")
    assert not set("\n|") & set(field.setting.help + field.setting.auto + field.setting.unit)
    assert field.kind in {bool, int, float, str, tuple, list, dict} or field.kind.__name__ == "Path"


@pytest.mark.parametrize("name", entries())
def test_every_default_is_allowed(name):
    entry = entries()[name]
    for default in entry.defaults.values() or [entry.field.default]:
        entry.field.check(default)
        assert entry.field.convert(entry.field.plain(default)) == default


def test_a_setting_shared_by_algorithms_has_one_type():
    for algorithm in registry.ALGORITHMS:
        config = registry.config_class(algorithm)
        for name, hint in get_type_hints(config).items():
            if name in entries() and entries()[name].defaults.keys() > {algorithm}:
                other = registry.config_class(next(iter(entries()[name].defaults)))
                assert hint == get_type_hints(other)[name], name


def test_a_tree_of_defaults_can_be_made():
    assert Config().intake == groups()["intake"]()
    assert "S3cret" not in repr(Config(connection=groups()["connection"]("redis://:S3cret@h", "S3cret")))


def test_connect_reads_the_password_from_the_variable_of_its_setting():
    assert entries()["redis_password"].variable == PASSWORD_VARIABLE
