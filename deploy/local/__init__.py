"""Processes on this machine: `up`, `actors`, `learner`, `import`, and the embedded server."""
