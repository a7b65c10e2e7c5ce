"""Games that were played elsewhere, read from files and pushed into a run."""
