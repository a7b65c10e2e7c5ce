"""`broodmind config`: prints the effective configuration as a file that `--config` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ...common.process.process_setup import prepare_to_compute
from .options import SettingsCommand, with_settings
from .tree import Config

if TYPE_CHECKING:
    from .given import Given


@click.command("config", cls=SettingsCommand)
@with_settings(*Config.__dataclass_fields__)
@click.option("--up", "local", is_flag=True, help="Use the defaults of `broodmind up`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--reference", is_flag=True, help="Print the reference page of all settings instead, in Markdown.")
def config(given: Given, *, local: bool, as_json: bool, reference: bool) -> None:
    """Print the effective configuration with help: the result of options, environment, file and defaults.

    Passwords are left out.
    """
    from .rendering import to_reference, to_toml

    if reference:
        click.echo(to_reference(), nl=False)
        return
    prepare_to_compute()  # before a game is made, which may import numpy
    from .effective import effective, for_local_run, to_plain
    from .game_of_run import known_game

    if local:
        given = for_local_run(given)
    made = effective(given, known_game(given))
    click.echo(json.dumps(to_plain(made)) if as_json else to_toml(made), nl=as_json)
