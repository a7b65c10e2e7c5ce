"""A StarCraft II bot as an actor: it plays Zerg with macro actions. burnysc2 is needed only to play a game."""
