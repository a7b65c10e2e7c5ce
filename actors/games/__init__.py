"""Games: the interfaces, the built-in games, adapters for Gymnasium, and self-play."""
