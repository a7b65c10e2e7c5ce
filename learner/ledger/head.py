"""Where a run stands: the head that each commit moves on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """Where a run stands: commits chain by id, versions rise by one within an epoch."""

    epoch: int = 0
    version: int = 0
    commit: str = ""


def next_head(parent: Head, *, publish: bool) -> Head:
    """The head after a commit: a new id, and a new version where one is published."""
    return Head(parent.epoch, parent.version + publish, secrets.token_hex(8))
