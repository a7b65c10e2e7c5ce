"""What travels or lies on disk: msgpack with limits, trajectories, weights, archives, npz files."""
