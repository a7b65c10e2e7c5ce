"""Keeping actor processes running: the supervisor, its child processes, and the record of each attempt."""
