"""What a run leaves behind: learning curves, evaluations, exports."""
