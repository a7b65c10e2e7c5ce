"""Games: what a game must offer, the built-in ones, Gymnasium's and the user's own, and self-play."""
