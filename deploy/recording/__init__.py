"""Writes a run's record: how it was started, its metrics, TensorBoard's files, the learning curve."""
