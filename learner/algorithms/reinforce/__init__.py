"""REINFORCE with a baseline, over whole episodes."""
