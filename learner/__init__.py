"""The learner: ingest, batching, algorithms, their mathematics, and the atomic commit."""
