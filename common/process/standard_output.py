"""Standard output for results alone."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def take_standard_output() -> TextIO:
    """The standard output, which from now on only the caller has: what anything else prints goes to standard error.

    That holds for programs in other languages and for child processes too. Must be called before anything is printed.
    """
    try:
        if sys.stdout.fileno() != 1:
            return sys.stdout  # a program that replaced it reads what is written there
        sys.stdout.flush()
        taken = os.dup(1)  # not inherited by other processes
        os.dup2(2, 1)
    except (OSError, ValueError, AttributeError):  # there is none, or no file behind it
        return sys.stdout
    return os.fdopen(taken, "w", encoding="utf-8")
