"""`broodmind actors --serve`: a local server that games in other languages use as their client."""
