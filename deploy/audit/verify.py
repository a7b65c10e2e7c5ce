"""`broodmind verify`: proves that a run counted every trajectory once, or lists what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ...actors.transport.ack_journal import read_journals
from ...common.deprecated import VERIFY_KEYS, with_old_fields, with_old_keys
from ...common.errors import ConfigError, VerifyFailed
from ...common.server.keys import Keys
from ...common.server.streams import Server
from ...learner.ledger.counters import REJECTION_COUNTERS
from ..config.effective import server_url_of_run
from ..config.options import with_settings
from ..config.tree import Config
from .invariants import judge
from .snapshot import take_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.given import Given
    from .invariants import Verdict, Violation

_SHOWN = 20  # the most violations that are printed as text; --json has all


@click.command("verify")
@with_settings("run", "connection", "journal")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify_command(given: Given, *, as_json: bool) -> None:
    """Check that no trajectory was lost, counted twice or miscounted. Ends with code 12 if one was.

    The run may be in progress. With --journal it is also compared with the journals of its actors.
    """
    run = given.get("run", Config().run)
    verify_run(server_url_of_run(given, run), run, given.get("journal"), as_json=as_json)


def verify_run(url: str, run: str, journal: Path | None, *, as_json: bool) -> None:
    """Print the result of an audit.

    Raises:
        ConfigError: if Redis does not know the run, or the journal is no folder.
        VerifyFailed: if there are violations.
    """
    if journal is not None and not journal.is_dir():
        raise ConfigError(f"journal: {str(journal)!r}, expected a folder that actors wrote with --journal")
    verdict = verify(url, run, journal)
    click.echo(json.dumps(_to_json(run, verdict)) if as_json else describe(run, verdict))
    if verdict.violations:
        raise VerifyFailed(f"run {run}: {len(verdict.violations)} violations, expected none")


def verify(url: str, run: str, journal: Path | None = None) -> Verdict:
    """Read a run's records and audit them."""
    # The journals are read first: entries that they have must be in a snapshot that is taken later.
    journals = read_journals(journal) if journal is not None else {}
    server = Server(url)
    try:
        snapshot = take_snapshot(server, Keys(run), journals)
    finally:
        server.close()
    if not snapshot.head:
        raise ConfigError(f"run: {run!r}, expected the name of a run on this server; start one with broodmind learner")
    return judge(snapshot, journals)


def describe(run: str, verdict: Verdict) -> str:
    """The report, as text."""
    metrics = verdict.metrics
    span = "since its beginning" if verdict.complete else "as far back as its ledger goes"
    rejected = "   ".join(f"{name} {metrics[name]}" for name in REJECTION_COUNTERS)
    seen = "   ".join(f"{name} {metrics[name]}" for name in ("commits", "versions", "epochs", "consumed", "in_streams"))
    evaluations = f"   evaluation_games {metrics['evaluation_games']}" if metrics["evaluation_games"] else ""
    lines = [f"run {run}, {span}: {seen}", f"in all: accepted {metrics['accepted']}{evaluations}   {rejected}"]
    if metrics["acknowledged"]:
        fates = "   ".join(f"{fate} {metrics[f'acknowledged_{fate}']}" for fate in ("consumed", "waiting", "lost"))
        unseen = metrics["acknowledged_unseen"]
        older = f"   older than the ledger {unseen}" if unseen else ""
        lines.append(f"by the journals: acknowledged {metrics['acknowledged']}   {fates}{older}")
    lines += [_line(violation) for violation in verdict.violations[:_SHOWN]]
    if len(verdict.violations) > _SHOWN:
        lines.append(f"... and {len(verdict.violations) - _SHOWN} more; --json lists all")
    lines.append(
        f"{len(verdict.violations)} violations" if verdict.violations else "nothing lost, nothing counted twice"
    )
    return "\n".join(lines)


def _to_json(run: str, verdict: Verdict) -> dict[str, Any]:
    metrics = with_old_fields(verdict.metrics)
    return with_old_keys({"run": run, **asdict(verdict), "metrics": metrics}, VERIFY_KEYS)


def _line(violation: Violation) -> str:
    where = {"actor": violation.actor, "id": violation.id, "commit": violation.commit}
    return "   ".join([f"{violation.kind.upper():<8} {violation.what}", *(f"{k} {v}" for k, v in where.items() if v)])
