"""Metrics of updates and of the run."""
