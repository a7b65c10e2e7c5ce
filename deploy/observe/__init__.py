"""Looking at a run: `status`."""
