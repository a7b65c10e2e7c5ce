"""A soak test: actors, a learner, a standby learner and a server, and accidents that kill and stop them at random."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.nursery import Child, Nursery
from support.runs import hash_of
from support.servers import wait_until

from broodmind.common.errors import BroodmindError, LeaseLost, RedisUnreachable
from broodmind.common.process.clock import monotonic_s, now_ms
from broodmind.common.server.keys import Keys
from broodmind.deploy.audit.invariants import accepted_ids, evaluated_ids
from broodmind.deploy.audit.snapshot import take_snapshot
from broodmind.deploy.audit.verify import verify

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from support.durable import DurableServer

_LOST_MS = 3000  # appendfsync everysec may lose two seconds; one more is allowed for slow clocks and disks
_UNSYNCED_S = 1.0  # a power cut may lose this much of the end of the append-only file, which is flushed every second
_ENDS = {0, -signal.SIGKILL, RedisUnreachable.exit_code, LeaseLost.exit_code}  # exit codes; any other one is a bug
LEARNERS = ("learner-1", "learner-2")  # one of them is the standby
ACCIDENTS = {
    "kill learner": 24,
    "kill standby": 4,
    "kill actor": 22,
    "kill server": 20,
    "stop learner past its lease": 14,
    "stop actor": 6,
    "stop server": 4,
    "kill learner and server": 3,
    "kill actor and server": 3,
}


def lost_beyond_replay(acknowledged_ms: int, journal_ms: Sequence[int], crashes_ms: Sequence[tuple[int, int]]) -> bool:
    """Whether crashes can have lost an entry for good.

    Args:
        acknowledged_ms: when it was acknowledged first.
        journal_ms: when each entry of its actor was.
        crashes_ms: when the server ended and was started again, each time.
    """
    sent_ms = acknowledged_ms
    for crashed_ms, back_ms in crashes_ms:
        # A reply from before the crash may be read and written to the journal after it, but before the next start.
        if not crashed_ms - _LOST_MS <= sent_ms <= back_ms:
            continue
        later_ms = [each for each in journal_ms if each > back_ms]
        if not later_ms:
            return True
        sent_ms = later_ms[0]  # it was sent again before any new one, and the next crash may lose it again
    return False


@dataclass
class Soak:
    """The processes and results of one soak test. `close` ends all its processes."""

    server: DurableServer
    folder: Path
    rng: random.Random
    actors: int = 6
    ttl_ms: int = 400
    run: str = "soak"
    crashes_ms: list[tuple[int, int]] = field(
        default_factory=list
    )  # times at which the server ended, and was started again
    happened: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.keys = Keys(self.run)
        self.nursery = Nursery(self.folder / "processes.log")
        self.redis = self.server.connect()
        names = [f"actor-{index}" for index in range(self.actors)]
        self.slots: dict[str, Child] = {}
        self.commands = {name: ("actor", {"name": name, "folder": str(self.folder)}) for name in names}
        for name in LEARNERS:
            self.commands[name] = ("learner", {"ttl_ms": self.ttl_ms, "folder": str(self.folder)})
        self._aof_sizes: deque[tuple[float, int]] = deque(maxlen=10_000)  # time and size
        self.keep_running()

    def keep_running(self) -> None:
        """Start processes again that have ended. An exit code that no accident explains fails the test."""
        self._aof_sizes.append((monotonic_s(), self.server.aof.stat().st_size))
        for name, (role, arguments) in self.commands.items():
            child = self.slots.get(name)
            if child is None or child.code is not None:
                if child is not None:
                    self.ended[f"{role} {child.code}"] += 1
                    assert child.code in _ENDS, f"{name} ended with {child.code}: {self.log_tail()}"
                self.slots[name] = self.nursery.start(role, url=self.server.url, run=self.run, **arguments)

    def head(self) -> dict[str, int]:
        """The integer fields of the head; empty while the server cannot be reached."""
        try:
            return {name: int(value) for name, value in hash_of(self.redis, self.keys.head).items() if value.isdigit()}
        except BroodmindError:
            return {}

    def learn(self, entries: int) -> None:
        """Wait until `entries` more trajectories have been trained on."""
        goal = None

        def look() -> bool:
            nonlocal goal
            self.keep_running()
            head = self.head()
            if head and (goal is None or head["accepted"] < goal - entries):  # or after a rollback
                goal = head["accepted"] + entries
            return bool(head) and head["accepted"] >= goal

        wait_until(look, lambda: f"{goal} in {self.head()}: {self.log_tail()}", poll_s=0.005)

    def settle(self) -> None:
        """Wait until the beginning of the run is certainly on the server's disk."""
        began_s = monotonic_s()
        wait_until(lambda: self.keep_running() or monotonic_s() - began_s > _UNSYNCED_S)

    def accident(self) -> None:
        """Cause one accident, drawn from `ACCIDENTS`."""
        what = self.rng.choices(list(ACCIDENTS), list(ACCIDENTS.values()))[0]
        self.happened[what] += 1
        actor = self.slots[f"actor-{self.rng.randrange(self.actors)}"]
        time.sleep(self.rng.random() * 0.03)  # so that it can happen at any moment of a commit
        match what:
            case "kill learner":
                self.active().kill()
            case "kill standby":
                self.standby().kill()
            case "kill actor":
                actor.kill()
            case "kill server":
                self.crash()
            case "kill learner and server":
                self.active().signal(signal.SIGKILL)
                self.crash()
            case "kill actor and server":
                actor.signal(signal.SIGKILL)
                self.crash()
            case "stop learner past its lease":
                self.stop_past_lease()
            case "stop actor":
                actor.signal(signal.SIGSTOP)
                time.sleep(self.rng.random() * 0.5)
                actor.signal(signal.SIGCONT)
            case "stop server":
                os.kill(self.server.process.pid, signal.SIGSTOP)
                time.sleep(self.rng.random() * 2 * self.ttl_ms / 1000)
                os.kill(self.server.process.pid, signal.SIGCONT)

    def crash(self) -> None:
        """Kill the server, and start it again. With `everysec`, the end of its append-only file is lost."""
        crashed_ms, crashed_s = now_ms(), monotonic_s()
        self.server.kill()
        if self.server.options["appendfsync"] == "everysec":
            # Simulate a power cut: the last writes had not reached the disk, and one of them only in part.
            size = self.server.aof.stat().st_size
            seen = (size for at, size in self._aof_sizes if at >= crashed_s - _UNSYNCED_S)
            least = min(seen, default=size)  # no size is known: truncate nothing
            os.truncate(self.server.aof, self.rng.randint(min(least, size), size))
        self._aof_sizes.clear()
        time.sleep(self.rng.random() * 0.2)
        self.crashes_ms.append((crashed_ms, now_ms()))
        self.server.start()

    def stop_past_lease(self) -> tuple[Child, float]:
        """Suspend the learner that holds the lease until another one has it. Returns the learner, and the seconds."""
        token, sleeper = wait_until(lambda: self.keep_running() or self.held())
        began_s = monotonic_s()
        sleeper.signal(signal.SIGSTOP)
        wait_until(lambda: self.keep_running() or self.lease() not in {token, None}, lambda: f"a takeover from {token}")
        took_s = monotonic_s() - began_s
        sleeper.signal(signal.SIGCONT)
        return sleeper, took_s

    def lease(self) -> str | None:
        with contextlib.suppress(BroodmindError):
            token = self.redis.call("GET", self.keys.lease)
            return token and token.decode()
        return None

    def held(self) -> tuple[str, Child] | None:
        """The lease's token and the learner that holds it, both at the same time, because a learner may lose it."""
        token = self.lease()
        note = self.folder / f"{token}.holder"
        pid = int(note.read_text() or 0) if note.exists() else 0
        found = next((self.slots[name] for name in LEARNERS if self.slots[name].pid == pid), None)
        return (token, found) if token and found else None

    def active(self) -> Child:
        """The learner that holds the lease; if none does, one of the two at random."""
        held = self.held()
        return held[1] if held else self.slots[self.rng.choice(LEARNERS)]

    def standby(self) -> Child:
        active = self.active()
        return next(self.slots[name] for name in LEARNERS if self.slots[name] is not active)

    def drain(self) -> None:
        """End the actors, wait until all entries are consumed, and end the learners."""
        self.keep_running()
        self._end("actor")
        wait_until(lambda: self.keep_running() or not self.backlog(), lambda: f"backlog: {self.log_tail()}")
        self._end("learner")

    def backlog(self) -> int:
        try:
            streams = self.redis.call("KEYS", self.keys.trajectories("*"))
            return sum(self.redis.pipeline([("XLEN", stream) for stream in streams]))
        except BroodmindError:
            return 1

    def _end(self, role: str) -> None:
        names = [name for name, command in self.commands.items() if command[0] == role]
        for name in names:
            del self.commands[name]
            self.slots[name].signal(signal.SIGTERM)
        for name in names:
            code = self.slots[name].wait()
            assert code in {*_ENDS, -signal.SIGTERM}, f"{name} ended with {code}: {self.log_tail()}"

    def judge(self) -> dict[str, int]:
        """The result of `verify`, without losses that no living actor could repair. Prints all, and asserts nothing."""
        verdict = verify(self.server.url, self.run, self.folder)
        excused = [v for v in verdict.violations if v.kind == "lost" and self._beyond_replay(v)]
        violations = [v for v in verdict.violations if v not in excused]
        mislabelled = self._mislabelled()
        metrics = {
            **verdict.metrics,
            "violations": len(violations),
            "excused": len(excused),
            "mislabelled": len(mislabelled),
            "complete": int(verdict.complete),
        }
        print(json.dumps(metrics))
        print(dict(self.happened), dict(self.ended))
        for violation in violations[:20]:
            print(violation)
        for each in mislabelled[:20]:
            print("mislabelled", each)
        return metrics

    def _beyond_replay(self, violation) -> bool:
        """Whether an entry was lost in a crash because `everysec` had not flushed it, and its actor did not reconnect.

        An actor sends the entries of its last seconds again when it reconnects; an actor that died before cannot.
        """
        incarnation, _, _ = violation.id.partition("-")
        lines = (self.folder / f"{violation.actor}@{incarnation}.journal").read_text().split("\n")[:-1]
        journal_ms = [int(line.split(" ")[3]) for line in lines]
        return lost_beyond_replay(violation.acknowledged_ms, journal_ms, self.crashes_ms)

    def _mislabelled(self) -> list[str]:
        """Entries whose verdict is not that of what their actor sent.

        That is: accepted, although they were played with a lost version that had the same number; accepted, although
        they evaluate a version; or counted as evaluations, although they were for training.
        """
        ledger = take_snapshot(self.redis, self.keys).ledger
        published = {(entry.epoch, entry.version): entry.commit for entry in ledger if entry.published}
        oldest, played = min(published), {}
        for path in self.folder.glob("*.played"):
            actor, _, incarnation = path.stem.rpartition("@")
            for line in path.read_text().split("\n")[:-1]:
                number, epoch, version, commit, kind = line.split(" ")
                played[actor, int(incarnation), int(number)] = (int(epoch), int(version), commit, kind)
        found = []
        for entry in ledger:
            for ids, expected in ((accepted_ids(entry), "training"), (evaluated_ids(entry), "evaluation")):
                for actor, entry_id in ids:
                    epoch, version, commit, kind = played[actor, *entry_id]
                    if published.get((epoch, version), commit if (epoch, version) < oldest else None) != commit:
                        found.append(f"{actor} {entry_id}: {epoch}-{version} of {commit}")
                    if kind != expected:
                        found.append(f"{actor} {entry_id}: counted as {expected}, expected {kind}")
        return found

    def log_tail(self) -> str:
        return self.nursery.log.read_text(errors="replace")[-3000:]

    def close(self) -> None:
        self.nursery.close()
        self.redis.close()
        self.server.close()
