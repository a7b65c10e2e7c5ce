"""The figures of an update: names to numbers, as they appear in `stats` and in the versions stream."""

from __future__ import annotations

Figures = dict[str, float]
