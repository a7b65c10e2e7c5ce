"""Results of a run: its folder, learning curves, exports."""
