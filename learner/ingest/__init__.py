"""From the actors' streams to a batch: fenced reads, decoding, quarantine, and what is rejected."""
