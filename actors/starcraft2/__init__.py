"""A StarCraft II bot as an actor: it plays Zerg by macro actions. Needs burnysc2 only where a game is played."""
