"""The side that learns: ingest, batching, the mathematics, and the atomic commit."""
