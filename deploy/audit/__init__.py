"""Proving what was consumed: `verify`."""
