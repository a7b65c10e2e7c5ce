"""The command line: lists the commands, imports each when it is run, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
import traceback
from typing import Any

import click

from ..common.errors import BroodmindError, GameError
from ..common.process.log import log_to_stderr

# For each command, where it is defined, and its line in the help. A command's module is imported when the command is
# run, so that `--help` needs neither numpy nor the Redis client.
COMMANDS = {
    "up": ("local.up:up", "Start a whole run on this machine, watch it to its end, and evaluate the policy."),
    "learner": ("local.learner:learner", "Run the one learner of a run, until Ctrl-C."),
    "actors": ("local.actors:actors", "Run actors of a run, each in a process of its own, until Ctrl-C."),
    "check-game": (
        "check_game.check_game:check_game",
        "Play a game with random actions, and tell what is wrong with it.",
    ),
    "evaluator": ("policies.evaluator_command:evaluator", "Choose the best version of a run while it is trained."),
    "config": ("config.config_command:config", "Print the effective configuration with help."),
    "status": ("observe.status:status", "Show the state of a run: version, counters, actors and lag."),
    "verify": ("audit.verify:verify_command", "Check that no trajectory was lost, counted twice or miscounted."),
    "evaluate": ("policies.evaluate_command:evaluate", "Play whole games with a trained policy: return and wins."),
    "play": ("policies.play:play", "Show games of a trained policy, as a film or as text."),
    "plot": ("records.plot:plot", "Draw the learning curves of several runs in one picture."),
    "runs": ("records.runs:runs", "List the runs in a folder, with the settings in which they differ."),
    "export": ("records.export:export", "Write the policy as an npz file."),
    "import": ("local.import_games:import_", "Import episodes that were played elsewhere."),
    "acl": ("access.acl:acl", "Print an ACL file with the users of a run."),
}
_THREADS_S = 2.0  # for threads that are ending
_HIDDEN = {"actor": "local.actors:actor"}


class LazyGroup(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands that are shown, in the order of the list."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import one command."""
        place = _HIDDEN.get(cmd_name) or COMMANDS.get(cmd_name, ("", ""))[0]
        if not place:
            return None
        module, _, name = place.partition(":")
        found: click.Command = getattr(importlib.import_module(f".{module}", __package__), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def main() -> None:
    """Run the command line. A BroodmindError is printed as one line, and ends the process with its exit code."""
    try:
        _run()
    except SystemExit as ended:
        _end_with_threads(ended.code)
        raise
    _end_with_threads(0)


def _run() -> None:
    try:
        cli.main(prog_name="broodmind", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except BroodmindError as error:
        if isinstance(error, GameError) and error.__cause__ is not None:  # for who mends the game, above the one line
            traceback.print_exception(error.__cause__)
        click.echo(f"broodmind: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)


def _end_with_threads(code: str | int | None) -> None:
    """End the process now if threads that are no daemons run on: a user's game may have left them, for ever."""
    ours = {threading.main_thread(), threading.current_thread()}
    left = [thread for thread in threading.enumerate() if thread not in ours and not thread.daemon]
    deadline_s = time.monotonic() + _THREADS_S
    for thread in left:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    if running := [thread.name for thread in left if thread.is_alive()]:
        click.echo(f"broodmind: threads of the game did not end with it: {len(running)}, {running[0]} first", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "BROODMIND"})
@click.version_option(package_name="broodmind")
@click.option("-v", "--verbose", is_flag=True, help="Write more log lines.")
def cli(*, verbose: bool) -> Any:  # noqa: ANN401 - click's
    """Distributed reinforcement learning on Redis Streams: many game actors play, one learner trains."""
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)


if __name__ == "__main__":
    main()
