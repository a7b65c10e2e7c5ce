"""The lease, and the commit that publishes a version and consumes entries in one script."""
