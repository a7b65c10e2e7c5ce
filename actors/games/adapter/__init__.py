"""Parts of the adapter for Gymnasium: observation and action spaces, masks, and worker processes."""
