"""`broodmind actors --serve`: games in other languages play through one process, over a small local protocol."""
