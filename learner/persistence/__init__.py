"""State that outlives a learner process: snapshots, checkpoints, the run's spec, warm starts, the archive."""
