"""The supervisor, with small children that do what games do: play, hang, crash, leave things behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.runs import processes_of
from support.servers import wait_until

from broodmind.actors.supervision.child_process import ProcessLimits
from broodmind.actors.supervision.supervisor import Slot, Supervisor
from broodmind.common.errors import ConfigError, GameError, ProcessFailed
from broodmind.common.process import shutdown

# A child is this, then what the test wants of it. `MARKER` in its command line is how it is found.
CHILD = """
import os, subprocess, sys, tempfile, threading, time
from pathlib import Path
from broodmind.actors.supervision import progress_pipe as child
child._ORPHAN_GRACE_S = float(os.environ.get("ORPHAN_GRACE_S", "60"))
child._HEARTBEAT_EVERY_S = 0.05
MARKER = sys.argv[1]
def grandchild():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", MARKER])
with child.supervised_child() as (stop, progress):
"""
STEADY = """
    while not stop.requested:
        progress.heartbeat()
        time.sleep(0.02)
"""
HANGS = """
    grandchild()
    Path(tempfile.gettempdir(), "left").write_text("behind")
    progress.report(version="1-7")
    time.sleep(600)
"""


@pytest.fixture
def marker(tmp_path):
    return f"marker-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the supervisor makes the folders of its attempts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def supervise(tmp_path, temporary):
    """Makes supervisors, and takes down what they started."""
    made = []

    def make(slots, **options):
        made.append(Supervisor(slots, records=tmp_path / "records", **options))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop(grace_s=0)


@pytest.fixture
def slot(marker):
    def make(code, name="slot", **options):
        return Slot(name, [sys.executable, "-c", CHILD + code, marker], reports=True, **options)

    return make


@pytest.fixture
def records(tmp_path):
    def read():
        path = tmp_path / "records"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


def polled(supervisor, predicate):
    def turn():
        supervisor.poll()
        return predicate()

    return wait_until(turn)


def test_a_child_that_makes_no_progress_is_killed_with_its_session_and_restarted(
    supervise, slot, records, marker, temporary
):
    hanging = slot(HANGS)
    supervisor = supervise([hanging])
    polled(supervisor, lambda: len(processes_of(marker)) == 2 and hanging.attempt.reported)
    before = {line.partition(" ")[0] for line in processes_of(marker)}
    (folder,) = temporary.iterdir()
    hanging.limits = ProcessLimits(no_progress_s=0.5)  # from now on: its start may take any time
    (line,) = polled(supervisor, records)
    hanging.limits = ProcessLimits()
    assert (line["outcome"], line["reason"]) == ("stalled", "no progress for 0.5 s")
    assert (line["signal"], line["exit_code"], line["version"]) == ("SIGKILL", None, "1-7")
    assert not before & {line.partition(" ")[0] for line in processes_of(marker)}
    assert not folder.exists()
    polled(supervisor, lambda: len(processes_of(marker)) == 2)


def test_output_of_a_child_does_not_count_as_progress(supervise, slot, records, temporary):
    code = """
    def chatter():
        while True:
            print("still loading")
            os.write(1, b"{}\\n")
            Path(tempfile.gettempdir(), "printed").touch()
            time.sleep(0.05)
    threading.Thread(target=chatter, daemon=True).start()
    subprocess.run([sys.executable, "-c", "import time; print({}, flush=True); time.sleep(600)", MARKER])
"""
    chattering = slot(code)
    supervisor = supervise([chattering])
    polled(supervisor, lambda: list(temporary.glob("*/printed")))
    chattering.limits = ProcessLimits(no_progress_s=time.monotonic() - chattering.attempt.started_s + 1)
    assert polled(supervisor, records)[0]["outcome"] == "stalled"


def test_a_child_that_makes_progress_runs_until_its_time_limit(supervise, slot, records):
    steady = slot(STEADY)
    supervisor = supervise([steady])
    polled(supervisor, lambda: steady.attempt.last_progress_s > steady.attempt.started_s)
    attempt_s = round(time.monotonic() - steady.attempt.started_s) + 8
    steady.limits = ProcessLimits(no_progress_s=5.0, attempt_s=attempt_s)  # from now on: its start may take any time
    (line,) = polled(supervisor, records)
    assert (line["outcome"], line["reason"]) == ("overtime", f"still running after {attempt_s} s")
    assert line["duration_s"] > attempt_s


def test_descendants_of_a_killed_child_are_killed_too(supervise, slot, records, marker):
    supervisor = supervise([slot(HANGS)])
    polled(supervisor, lambda: len(processes_of(marker)) == 2)
    os.kill(supervisor.slots[0].attempt.process.pid, signal.SIGKILL)
    (line,) = polled(supervisor, records)
    assert (line["outcome"], line["reason"], line["signal"]) == ("crashed", "ended by SIGKILL", "SIGKILL")
    supervisor.stop(grace_s=0)
    wait_until(lambda: not processes_of(marker))


def test_a_finished_attempt_is_recorded_and_the_next_one_starts(supervise, slot, records):
    code = """
    progress.report(version="2-5", map="Flat", opponent="Zerg:Easy", seed=7)
    progress.report(outcome="win", reason="")
"""
    supervisor = supervise([slot(code)])
    lines = polled(supervisor, lambda: len(records()) >= 6 and records())
    first = lines[0]
    assert first.keys() == {
        *("id", "slot", "started_ms", "duration_s", "outcome", "reason", "exit_code", "signal"),
        *("version", "map", "opponent", "seed"),
    }
    assert (first["outcome"], first["exit_code"], first["signal"]) == ("win", 0, None)
    assert (first["version"], first["map"], first["opponent"], first["seed"]) == ("2-5", "Flat", "Zerg:Easy", 7)
    assert len({line["id"] for line in lines}) == len(lines)
    assert supervisor.slots[0].failures == 0


def test_a_slot_that_keeps_failing_is_paused_while_the_others_continue(supervise, slot, records):
    bad, good = slot("    sys.exit(1)", "bad"), slot(STEADY, "good")
    supervisor = supervise([bad, good], pause_s=3600.0, restart_s=(0.01, 0.01))
    polled(supervisor, lambda: bad.failures == 5)
    assert bad.attempt is None
    assert bad.next_s > time.monotonic() + 3000
    assert [(line["slot"], line["outcome"], line["reason"]) for line in records()] == [
        ("bad", "crashed", "exit code 1")
    ] * 5
    assert good.exit_code is None
    bad.next_s = 0.0  # the pause is over
    polled(supervisor, lambda: len(records()) == 6)
    assert bad.next_s > time.monotonic() + 3000  # one failure more, one pause more


def test_without_a_pause_a_slot_that_keeps_failing_ends_the_supervisor(supervise, slot, tmp_path):
    slots = [slot("    sys.exit('the last words')", log=tmp_path / "log"), slot(STEADY, "good")]
    supervisor = supervise(slots, restart_s=(0.01, 0.01))
    with pytest.raises(ProcessFailed, match=r"slot exited with code 1: the last words") as caught:
        polled(supervisor, lambda: False)
    assert caught.value.exit_code == 1


def test_a_slot_that_is_not_to_be_restarted_is_done_after_exit_code_0_and_not_after_another(supervise, slot, records):
    done, failing = slot("    pass", "done", restart=False), slot("    sys.exit(1)", "failing", restart=False)
    supervisor = supervise([done, failing], pause_s=0.01, restart_s=(0.01, 0.01))
    polled(supervisor, lambda: done.exit_code == 0 and len(records()) >= 2)
    assert {line["slot"] for line in records()} == {"failing"}
    assert done.failures == 0


def test_what_a_child_prints_that_is_no_report_is_passed_over(supervise, records):
    code = "print('[1]', 'null', 'loading ...', '{\"version\": \"1-7\"}', '5', sep='\\n')"
    supervisor = supervise([Slot("slot", [sys.executable, "-c", code], reports=True)])
    (line, *_) = polled(supervisor, records)
    assert (line["version"], line["outcome"]) == ("1-7", "drained")


FAULTY = """
    from broodmind.common.errors import GameError
    progress.report(error="game mine: KeyError: 'door' (mine.py:{line}, in step)")
    sys.exit(GameError.exit_code)
"""


def test_an_error_of_a_game_that_comes_back_in_the_same_place_ends_the_supervisor_at_once(supervise, slot, records):
    supervisor = supervise([slot(FAULTY.format(line=12))], restart_s=(0.01, 0.01))
    with pytest.raises(ProcessFailed, match=r"^game mine: KeyError: 'door' \(mine.py:12, in step\)$") as caught:
        polled(supervisor, lambda: False)
    assert caught.value.exit_code == GameError.exit_code
    assert [line["reason"] for line in records()] == ["game mine: KeyError: 'door' (mine.py:12, in step)"] * 2


def test_with_a_pause_it_is_paused_at_once_and_the_others_continue(supervise, slot, records):
    bad = slot(FAULTY.format(line=12), "bad")
    supervisor = supervise([bad, slot(STEADY, "good")], pause_s=3600, restart_s=(0.01, 0.01))
    polled(supervisor, lambda: len(records()) == 2)
    assert bad.next_s > time.monotonic() + 3000
    assert bad.given_up is None


def test_errors_of_a_game_in_other_places_do_not(supervise, slot, records):
    failing = slot(FAULTY.format(line="{os.getpid()}").replace('error="', 'error=f"'))
    supervisor = supervise([failing], restart_s=(0.01, 0.01))
    with pytest.raises(ProcessFailed):
        polled(supervisor, lambda: False)
    assert len(records()) == 5


def test_what_a_process_said_last_is_told_without_its_name_and_with_its_log(supervise, slot, tmp_path):
    log = tmp_path / "log"
    code = "    print('broodmind: game: no such', file=sys.stderr)\n    sys.exit({code})"
    fatal = (ConfigError, ConfigError.exit_code, "^game: no such$")
    for error, number, message in (fatal, (ProcessFailed, 9, rf"^game: no such \(log: {log}\)$")):
        with pytest.raises(error, match=message):
            polled(supervise([slot(code.format(code=number), log=log)], restart_s=(0.01, 0.01)), lambda: False)


def test_a_warning_that_processes_report_is_logged_once(supervise, slot, tmp_path, caplog):
    code = "    progress.report(warning=f'game mine: reward: nan (copy {os.getpid()})')\n" + STEADY
    supervisor = supervise([slot(code, name, log=tmp_path / name) for name in ("one", "two")])
    polled(supervisor, lambda: "reward: nan" in caplog.text)
    polled(
        supervisor,
        lambda: all(each.attempt.last_progress_s > each.attempt.started_s + 0.5 for each in supervisor.slots),
    )
    assert caplog.text.count("reward: nan") == 1


def test_failures_after_a_healthy_time_do_not_add_up(supervise, slot, records):
    failing = slot("    progress.report()\n    sys.exit(1)")
    supervisor = supervise([failing], restart_s=(0.01, 0.01), healthy_s=0.0)
    polled(supervisor, lambda: len(records()) >= 7)  # five in a row would end the supervisor
    assert failing.failures == 1


def test_without_a_pause_what_cannot_be_started_is_the_supervisors_end(supervise):
    with pytest.raises(FileNotFoundError, match="/nowhere/at/all"):
        polled(supervise([Slot("absent", ["/nowhere/at/all"])]), lambda: False)


def test_the_supervisor_ends_only_when_all_slots_have_fatal_errors(supervise, slot):
    hopeless = f"    sys.exit({ConfigError.exit_code})"
    first, second = slot(hopeless, "first"), slot(STEADY, "second")
    supervisor = supervise([first, second], pause_s=0.01)
    polled(supervisor, lambda: first.given_up)
    polled(supervisor, lambda: second.attempt)
    os.kill(second.attempt.process.pid, signal.SIGKILL)
    second.command = slot(hopeless).command
    with pytest.raises(ProcessFailed, match="first exited with code 3") as caught:
        polled(supervisor, lambda: False)
    assert caught.value.exit_code == ConfigError.exit_code


def test_what_is_not_essential_is_given_up_and_the_others_continue(supervise, slot, tmp_path):
    extra = slot("    sys.exit(1)", "extra", log=tmp_path / "log", essential=False)
    hopeless = slot(f"    sys.exit({ConfigError.exit_code})", "hopeless", essential=False)
    good = slot(STEADY, "good")
    supervisor = supervise([extra, hopeless, good], restart_s=(0.01, 0.01))
    polled(supervisor, lambda: extra.given_up and hopeless.given_up)
    assert extra.failures == 5
    supervisor.poll()
    assert (extra.attempt, hopeless.attempt, good.exit_code) == (None, None, None)
    good.attempt.close()
    good.command = slot(f"    sys.exit({ConfigError.exit_code})").command
    with pytest.raises(ProcessFailed, match="good exited with code 3"):
        polled(supervisor, lambda: False)


def test_a_slot_that_cannot_be_started_or_recorded_does_not_stop_the_others(supervise, slot, tmp_path):
    absent, good, ended = Slot("absent", ["/nowhere/at/all"]), slot(STEADY, "good"), slot("    pass", "ended")
    (tmp_path / "records").mkdir()  # no file to write to
    supervisor = supervise([absent, good, ended], pause_s=0.05)
    polled(supervisor, lambda: ended.next_s > 0 and ended.attempt is None)
    polled(supervisor, lambda: absent.next_s > 0)
    assert good.exit_code is None
    assert good.attempt is not None


def test_stopping_drains_the_children_and_kills_those_that_do_not_drain(supervise, slot, records, marker, temporary):
    steady = slot(STEADY, "drains")
    supervisor = supervise([steady, slot(HANGS, "hangs")])
    polled(supervisor, lambda: len(processes_of(marker)) == 3)
    wait_until(lambda: len(list(temporary.glob("*/left"))) == 1)
    wait_until(lambda: steady.attempt.last_progress_s > steady.attempt.started_s)  # or it would drain after its start
    supervisor.stop(grace_s=5)
    assert {(line["slot"], line["outcome"]) for line in records()} == {("drains", "drained"), ("hangs", "aborted")}
    wait_until(lambda: not processes_of(marker))  # a killed process may be seen for a moment
    assert not list(temporary.iterdir())


def test_a_supervisor_that_is_killed_takes_everything_with_it(slot, marker, temporary):
    """Children that drain, children that hang, what those started, and their folders."""
    commands = [slot(STEADY).command, slot(HANGS).command]
    code = f"""
import sys, time
from broodmind.actors.supervision.supervisor import Slot, Supervisor
supervisor = Supervisor([Slot(str(i), command, reports=True) for i, command in enumerate({commands!r})])
while True:
    supervisor.poll()
    time.sleep(0.01)
"""
    environment = {**os.environ, "TMPDIR": str(temporary), "ORPHAN_GRACE_S": "0.5"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        wait_until(lambda: len(list(temporary.glob("*/left"))) == 1 and len(list(temporary.iterdir())) == 2)
        process.kill()
    wait_until(lambda: not processes_of(marker), lambda: f"left: {processes_of(marker)}")
    assert not list(temporary.iterdir())


def test_without_sessions_the_descendants_are_ended_by_the_id_of_their_root(monkeypatch):
    """What is asked of Windows; that it is done can only be seen there."""
    asked = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: asked.append(command))
    shutdown.end_session(4321)
    assert asked == [["taskkill", "/F", "/T", "/PID", "4321"]]


def test_the_folder_of_an_attempt_is_where_a_child_puts_its_temporary_files(supervise, slot, records, temporary):
    code = """
    place = Path(tempfile.gettempdir())
    assert os.environ["TMPDIR"] == os.environ["TEMP"] == os.environ["TMP"] == str(place)
    progress.report(map=str(place))
"""
    lines = polled(supervise([slot(code)]), lambda: len(records()) >= 2 and records())
    folders = {Path(line["map"]) for line in lines[:2]}
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {temporary}
    assert not any(folder.exists() for folder in folders)
