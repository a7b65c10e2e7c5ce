"""Results of a run: learning curves, evaluations, exports."""
