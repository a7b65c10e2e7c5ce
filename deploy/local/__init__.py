"""Putting up processes on this machine: `up`, `actors`, `learner`, the embedded server."""
