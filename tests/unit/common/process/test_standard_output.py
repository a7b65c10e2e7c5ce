"""Standard output for results alone, whatever prints there, and from which language."""

from __future__ import annotations

import io
import subprocess
import sys

from broodmind.common.process.standard_output import take_standard_output

_PROGRAM = """
import ctypes, os, subprocess, sys
from broodmind.common.process.standard_output import take_standard_output

results = take_standard_output()
print("from Python")
os.write(1, b"by a system call\\n")
ctypes.CDLL(None).puts(b"from C, in its own buffer")
subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
results.write("the results\\n")
results.flush()
"""


def test_only_results_are_on_standard_output():
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout == "the results\n"
    for printed in ("from Python", "by a system call", "from C, in its own buffer", "from a child"):
        assert printed in ran.stderr


def test_a_child_does_not_keep_the_reader_of_the_results_waiting():
    program = _PROGRAM.replace("print('from a child')", "print(*sorted(__import__('os').listdir('/proc/self/fd')))")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "0 1 2 3\n" in ran.stderr  # 3 is the folder that it lists


def test_where_a_program_has_replaced_standard_output_the_results_go_there(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert take_standard_output() is sys.stdout


def test_without_a_standard_output_nothing_fails(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert take_standard_output() is None
