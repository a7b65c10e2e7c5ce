"""`broodmind learner`: runs the one learner of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...common.process.process_setup import prepare_to_compute
from ...common.process.shutdown import stop_on_signal, stop_with_parent
from ..config.options import SettingsCommand, with_settings
from ..config.tree import Config

if TYPE_CHECKING:
    from ..config.given import Given

SETTINGS = (
    *("run", "game", "game_args", "seed", "algo", "connection", "algorithm", "network", "rollout", "intake", "goal"),
    *("checkpointing", "archive", "lease"),
)


@click.command(cls=SettingsCommand)
@with_settings(*SETTINGS, inherits=True)
def learner(given: Given, *, inherit: str | None) -> None:
    """Run the one learner of a run, until Ctrl-C."""
    prepare_to_compute()  # before numpy is imported, which the next lines do
    from ...actors.games.registry import describe_game
    from ...learner.loop import learn
    from ..config.effective import effective, learner_config, run_spec, server_url

    effective(given)  # before a game is made, so that invalid settings are reported at once
    game = describe_game(given.get("game", Config().game), given.get("game_args", {}))
    config = effective(given, game)
    with stop_on_signal() as stop:
        if inherit is not None:
            stop_with_parent(stop)
        learn(
            server_url(given),
            config.run,
            run_spec(config, game),
            learner_config(config),
            stop,
        )
