"""Runs from a script: `broodmind.train`."""
