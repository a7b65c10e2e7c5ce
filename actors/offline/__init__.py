"""Reads games that were played elsewhere from files, and pushes them into a run."""
