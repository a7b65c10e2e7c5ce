"""The audit's invariants: a run's records agree with each other, and with what was acknowledged to its actors.

Pure functions of a snapshot. Each yields the violations that it finds. If none is found, each trajectory was counted
exactly once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from ...common.server.streams import format_id
from ...learner.ledger.counters import REJECTIONS, Counters
from ...learner.ledger.id_ranges import merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...actors.transport.ack_journal import Acknowledged
    from ...common.wire.weights import Pointer
    from ...learner.ledger.id_ranges import IdRange
    from ...learner.ledger.ledger_entry import LedgerEntry, Ranges
    from ...learner.ledger.stream_entry import EntryId

    Journals = Mapping[str, Mapping[int, Sequence[Acknowledged]]]  # by actor, by incarnation


@dataclass(frozen=True, slots=True)
class StreamView:
    """One actor's stream, without the content of its entries."""

    added: int  # entries ever added to it
    length: int
    pending: tuple[EntryId, ...]  # read and not yet committed
    unread: tuple[EntryId, ...]

    @property
    def ids(self) -> tuple[EntryId, ...]:
        """The ids of all entries that are not committed yet."""
        return self.pending + self.unread


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The records of a run at one moment."""

    head: Mapping[str, str]
    latest: Pointer | None
    ledger: Sequence[LedgerEntry]
    versions: Mapping[tuple[int, int], str]  # of the last versions: epoch and version to the commit that published them
    streams: Mapping[str, StreamView]
    blob: tuple[Pointer, str | None] | None = None  # a pointer, and the digest of its weights


@dataclass(frozen=True, slots=True)
class Violation:
    """A contradiction between the records of a run."""

    kind: str
    what: str
    actor: str | None = None
    id: str | None = None
    commit: str | None = None
    acknowledged_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of an audit."""

    violations: list[Violation]
    complete: bool  # the ledger goes back to the run's beginning
    metrics: dict[str, int] = field(default_factory=dict)


def judge(snapshot: Snapshot, journals: Journals) -> Verdict:
    """Compare a run's records with each other, and with the journals of what was acknowledged to its actors."""
    ledger = snapshot.ledger
    consumption = {actor: Consumption(actor, ledger) for actor in sorted(_consumed_actors(ledger) | journals.keys())}
    fates = Counter[str]()
    violations = [
        *check_chain(ledger),
        *check_head(snapshot),
        *check_versions(snapshot),
        *check_verdicts(ledger),
        *check_counters(ledger),
        *check_steps(ledger, journals),
    ]
    for actor, consumed in consumption.items():
        stream = snapshot.streams.get(actor, StreamView(0, 0, (), ()))
        violations += consumed.check_once()
        violations += check_stream(actor, stream, consumed, complete=is_complete(ledger))
        violations += check_acknowledged(actor, stream, consumed, journals.get(actor, {}), ledger, fates)
    last = ledger[-1].counters if ledger else Counters()
    metrics = {
        "commits": len(ledger),
        "versions": sum(entry.published for entry in ledger),
        "epochs": len({entry.epoch for entry in ledger}),
        "consumed": sum(consumed.count for consumed in consumption.values()),
        "accepted": last.accepted,
        "evaluation_entries": last.evaluation_entries,
        "evaluation_games": last.evaluation_games,
        **last.rejected(),
        "in_streams": sum(stream.length for stream in snapshot.streams.values()),
        "acknowledged": sum(len(entries) for files in journals.values() for entries in files.values()),
        **{f"acknowledged_{fate}": fates[fate] for fate in ("consumed", "waiting", "unseen", "lost")},
    }
    return Verdict(violations, is_complete(ledger), metrics)


def is_complete(ledger: Sequence[LedgerEntry]) -> bool:
    """Whether it goes back to the run's beginning: to a commit without a parent, whose counters are all 0."""
    return bool(ledger) and ledger[0].parent == "" and ledger[0].counters == Counters()


class Consumption:
    """The consumed entries of one actor, and the commits that consumed them."""

    def __init__(self, actor: str, ledger: Sequence[LedgerEntry]) -> None:
        self._actor = actor
        self._ranges = sorted((ids, entry.commit) for entry in ledger for ids in entry.consumed.get(actor, ()))
        self._first_time = sorted((ids, entry.commit) for entry in ledger for ids in _without_duplicates(entry, actor))

    @property
    def count(self) -> int:
        """The number of consumed ids; one that was consumed twice counts twice."""
        return sum(ids.size for ids, _ in self._ranges)

    @property
    def first(self) -> EntryId | None:
        """The lowest consumed id, or None if there is none."""
        return (self._ranges[0][0].incarnation, self._ranges[0][0].first) if self._ranges else None

    def by(self, entry_id: EntryId) -> str | None:
        """The commit that consumed an id, or None."""
        incarnation, sequence = entry_id
        at = bisect_right(self._ranges, (incarnation, sequence), key=lambda each: each[0][:2]) - 1
        if at < 0:
            return None
        ids, commit = self._ranges[at]
        return commit if ids.incarnation == incarnation and sequence <= ids.last else None

    def check_once(self) -> Iterator[Violation]:
        """Check that no id was consumed by two commits, or twice by one commit, except as a duplicate.

        An actor that was away for so long that its stream was deleted sends its last entries before that again.
        """
        for (one, commit), (other, again) in pairwise(self._first_time):
            if one.incarnation == other.incarnation and other.first <= one.last:
                what = f"consumed by {commit} and by {again}"
                yield Violation("twice", what, self._actor, format_id((other.incarnation, other.first)), again)


def check_chain(ledger: Sequence[LedgerEntry]) -> Iterator[Violation]:
    """Check that a commit's parent is the commit before it, versions rise by one, and fencing tokens never fall."""
    for before, entry in pairwise(ledger):
        if entry.parent != before.commit:
            yield _of(entry, "chain", f"parent {entry.parent}, expected {before.commit}")
        if entry.epoch < before.epoch:
            yield _of(entry, "chain", f"epoch {entry.epoch}, expected at least {before.epoch}")
        opening = entry.epoch > before.epoch
        if opening and not entry.published:
            yield _of(entry, "version", f"opens epoch {entry.epoch} without a version, expected one")
        if entry.version != before.version + entry.published:
            yield _of(entry, "version", f"version {entry.version}, expected {before.version + entry.published}")
        fence, nonce = _fence(entry.token)
        fence_before, nonce_before = _fence(before.token)
        if fence < fence_before or (fence == fence_before and nonce != nonce_before):
            yield _of(entry, "fence", f"token {entry.token} after {before.token}, expected a higher number or the same")


def check_head(snapshot: Snapshot) -> Iterator[Violation]:
    """Check the head against the last commit, and the pointer and its weights against the last published version."""
    head, ledger, latest = snapshot.head, snapshot.ledger, snapshot.latest
    if not ledger:
        yield Violation(
            "head", f"commit {head.get('commit')} in the head of a run without a ledger", commit=head.get("commit")
        )
        return
    last = ledger[-1]
    said = {"commit": last.commit, "parent": last.parent, "epoch": last.epoch, "version": last.version}
    for name, value in {**said, **last.counters.to_fields()}.items():
        if head.get(name) != str(value):
            yield _of(last, "head", f"{name} is {head.get(name)}, expected {value} as in the ledger")
    published = next((entry for entry in reversed(ledger) if entry.published), None)
    if published is not None:
        found = latest and (latest.epoch, latest.version, latest.commit)
        if found != (published.epoch, published.version, published.commit):
            expected = f"{published.epoch}-{published.version} of {published.commit}"
            yield _of(published, "pointer", f"latest is {found}, expected {expected}")
    if snapshot.blob is not None:
        pointer, digest = snapshot.blob
        if digest != pointer.digest:
            what = f"weights {pointer.epoch}-{pointer.version} have digest {digest}, expected {pointer.digest}"
            yield Violation("digest", what, commit=pointer.commit)


def check_versions(snapshot: Snapshot) -> Iterator[Violation]:
    """Check that the versions stream has each version since its oldest, with the commit that published it."""
    if not snapshot.versions:
        return
    oldest = min(snapshot.versions)
    for entry in snapshot.ledger:
        version = (entry.epoch, entry.version)
        if entry.published and version >= oldest and snapshot.versions.get(version) != entry.commit:
            found = snapshot.versions.get(version)
            what = f"the versions stream has {format_id(version)} of commit {found}, expected {entry.commit}"
            yield _of(entry, "version", what)


def check_verdicts(ledger: Sequence[LedgerEntry]) -> Iterator[Violation]:
    """Check that each entry was consumed by the commit that gave its verdict, and has only one.

    The verdicts are the reasons of rejection, and `evaluation`; whatever has none was trained on.
    """
    for entry in ledger:
        consumed = {actor: set(_ids(ranges)) for actor, ranges in entry.consumed.items()}
        for verdict, actors in [*entry.rejected.items(), ("evaluation", entry.evaluations)]:
            for actor, ranges in actors.items():
                left = consumed.get(actor, set())
                for entry_id in _ids(ranges):
                    if entry_id not in left:
                        what = f"counted as {verdict}, but not consumed by this commit or counted twice"
                        yield Violation("verdict", what, actor, format_id(entry_id), entry.commit)
                    left.discard(entry_id)


def check_counters(ledger: Sequence[LedgerEntry]) -> Iterator[Violation]:
    """Check that each commit changed the counters by the numbers of entries that it accepted, rejected and missed."""
    for before, entry in pairwise(ledger):
        rejected: dict[str, int] = {reason: _count(entry.rejected.get(reason, {})) for reason in REJECTIONS}
        evaluations = _count(entry.evaluations)
        accepted = _count(entry.consumed) - sum(rejected.values()) - evaluations
        amounts = {
            "accepted": accepted,
            "updates": int(accepted > 0),
            "lost": _count(entry.gaps),
            "evaluation_entries": evaluations,
            **rejected,
        }
        for name, amount in amounts.items():
            change = getattr(entry.counters, name) - getattr(before.counters, name)
            if change != amount:
                yield _of(entry, "counter", f"{name} rose by {change}, expected {amount}")
        games = entry.counters.evaluation_games - before.counters.evaluation_games
        if games < evaluations or (games and not evaluations):  # at least one in each entry
            yield _of(
                entry, "counter", f"evaluation_games rose by {games}, expected at least {evaluations}, or 0 for 0"
            )
        given_up = entry.counters.overflow - before.counters.overflow  # as the consumed entries tell
        if given_up < 0 or (given_up and not _count(entry.consumed)):
            yield _of(
                entry, "counter", f"overflow rose by {given_up}, expected at least 0, and 0 with nothing consumed"
            )
        if entry.published != (accepted > 0 or entry.epoch != before.epoch):
            what = f"published is {entry.published} with {accepted} accepted entries, expected {not entry.published}"
            yield _of(entry, "version", what)


def check_steps(ledger: Sequence[LedgerEntry], journals: Journals) -> Iterator[Violation]:
    """Check the counters of steps and games, for commits whose entries are all in the actors' journals."""
    known = {
        (actor, (incarnation, each.number)): each
        for actor, files in journals.items()
        for incarnation, entries in files.items()
        for each in entries
    }
    for before, entry in pairwise(ledger):
        for ids, sums in (
            (accepted_ids(entry), {"steps": ("steps", "stale_steps"), "games": ("games",)}),
            (evaluated_ids(entry), {"games": ("evaluation_games",)}),
        ):
            found = [known.get(each) for each in ids]
            told = [each for each in found if each is not None]
            if len(told) != len(found):
                continue
            for name, parts in sums.items():
                change = sum(getattr(entry.counters, part) - getattr(before.counters, part) for part in parts)
                amount = sum(getattr(each, name) for each in told)
                if change != amount:
                    counted = parts[0]
                    yield _of(entry, "counter", f"{counted} rose by {change}, expected {amount} as in the journals")


def check_stream(actor: str, stream: StreamView, consumed: Consumption, *, complete: bool) -> Iterator[Violation]:
    """Check that pending entries are in the stream, consumed ones are not, and only commits have removed entries."""
    if len(stream.ids) != stream.length:
        what = f"{stream.length} entries, expected {len(stream.pending)} pending and {len(stream.unread)} unread"
        yield Violation("stream", what, actor)
    for entry_id in stream.ids:
        if (commit := consumed.by(entry_id)) is not None:
            yield Violation("twice", "consumed, but still in the stream", actor, format_id(entry_id), commit)
    # The stream of an actor that was struck off and came back counts from 0, so it may count fewer than were consumed.
    if complete and (left := stream.added - stream.length) > consumed.count:
        yield Violation(
            "stream", f"{left} entries have left the stream, expected {consumed.count} as in the ledger", actor
        )


def check_acknowledged(
    actor: str,
    stream: StreamView,
    consumed: Consumption,
    journals: Mapping[int, Sequence[Acknowledged]],
    ledger: Sequence[LedgerEntry],
    fates: Counter[str],
) -> Iterator[Violation]:
    """Check that each acknowledged entry was consumed or waits in its stream, and none was counted as overflow.

    `fates` counts the outcomes. The entries that are `unseen` are older than the oldest entry of the ledger.
    """
    waiting, complete = set(stream.ids), is_complete(ledger)
    first = min(filter(None, [consumed.first, *sorted(waiting)[:1]]), default=None)
    gaps = defaultdict[int, "list[IdRange]"](list)
    for entry in ledger:
        for gap in entry.gaps.get(actor, ()):
            gaps[gap.incarnation].append(gap)
    for incarnation, entries in journals.items():
        for each in entries:
            entry_id = (incarnation, each.number)
            if consumed.by(entry_id) is not None:
                fates["consumed"] += 1
            elif entry_id in waiting:
                fates["waiting"] += 1
            elif not complete and (first is None or entry_id < first):
                fates["unseen"] += 1
            else:
                fates["lost"] += 1
                skipped = any(gap.first <= each.number <= gap.last for gap in gaps[incarnation])
                what = "acknowledged, and counted as lost" if skipped else "acknowledged, and nowhere to be found"
                yield Violation("lost", what, actor, format_id(entry_id), acknowledged_ms=each.at_ms)


def accepted_ids(entry: LedgerEntry) -> set[tuple[str, EntryId]]:
    """The entries that a commit trained on: those that it consumed and did not reject, without evaluations."""
    rejected = [_pairs(actors) for actors in entry.rejected.values()]
    return _pairs(entry.consumed).difference(*rejected, _pairs(entry.evaluations))


def evaluated_ids(entry: LedgerEntry) -> set[tuple[str, EntryId]]:
    """The entries of games that evaluate a version."""
    return _pairs(entry.evaluations)


def _pairs(ranges: Ranges) -> set[tuple[str, EntryId]]:
    """Ids by actor, as pairs of actor and id."""
    return {(actor, each) for actor, parts in ranges.items() for each in _ids(parts)}


def _without_duplicates(entry: LedgerEntry, actor: str) -> Sequence[IdRange]:
    """The ids of an actor that a commit consumed, without those that it rejected as duplicates."""
    consumed = entry.consumed.get(actor, ())
    duplicates = set(_ids(entry.rejected.get("duplicate", {}).get(actor, ())))
    return merge([each for each in _ids(consumed) if each not in duplicates]) if duplicates else consumed


def _of(entry: LedgerEntry, kind: str, what: str) -> Violation:
    return Violation(kind, what, commit=entry.commit)


def _fence(token: str) -> tuple[int, str]:
    number, _, nonce = token.partition("-")
    return int(number), nonce


def _consumed_actors(ledger: Sequence[LedgerEntry]) -> set[str]:
    return {actor for entry in ledger for actor in entry.consumed}


def _count(ranges: Ranges) -> int:
    return sum(ids.size for actor in ranges.values() for ids in actor)


def _ids(ranges: Sequence[IdRange]) -> Iterator[EntryId]:
    for incarnation, first, last in ranges:
        for sequence in range(first, last + 1):
            yield incarnation, sequence
