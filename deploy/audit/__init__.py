"""Checks of a run's records against each other: `verify`."""
