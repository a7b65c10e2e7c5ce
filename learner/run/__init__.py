"""The run in the learner's memory: its state, one training step, the commit that follows, and the statistics."""
