"""Formats on the wire and on disk: msgpack with limits, trajectories, weights, archive segments, npz files."""
