"""Options of actors that contradict each other, refused before a process is started or a server asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from broodmind.common.errors import ConfigError
from broodmind.deploy.local.actors import actor, actors

NOBODY = ("--redis", "redis://127.0.0.1:1")


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        (actors, ("--map", "Flat"), "map: 'Flat' with --game TinyZerg, expected --game starcraft2"),
        (actors, ("--game", "starcraft2"), "map: none with --game starcraft2, expected --map NAME"),
        (actor, (), "name: none, expected the actor's name"),
    ],
)
def test_what_contradicts_itself_is_refused(command, options, message):
    result = CliRunner().invoke(command, [*NOBODY, *options])
    assert isinstance(result.exception, ConfigError), result.output
    assert message in str(result.exception)
