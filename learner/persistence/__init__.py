"""What a run leaves for a successor: snapshots, checkpoints, the run's spec, warm starts, the archive."""
