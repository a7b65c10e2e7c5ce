"""`broodmind check-game`: plays a game as a run would, and tells what is wrong with it, in seconds."""
