"""The algorithms, what they have in common, and the registry that lists them."""
