"""The rows of `suite.py`: how long each game is trained for, and which return counts as learnt.

References are other libraries' published returns after tuning for each game, mostly on more steps than here, or the
game's optimum. rl-zoo: the benchmark table of rl-baselines3-zoo; SLM-Lab: its benchmark of PPO.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One game. `suite_games.game_NN` makes it."""

    number: int
    title: str
    steps: int
    reference: float | None = None  # None: reported, not graded
    source: str = ""
    optimum: bool = False  # or a limit: no return is above the reference but by chance
    against: str | None = None  # graded is the share of games won against this player
    goal: float | None = None  # the steps until the training return first is this are reported too

    @property
    def factory(self) -> str:
        """The game's name for `--game`."""
        return f"suite_games:game_{self.number:02d}"

    def score(self, value: float, random: float) -> float:
        """(return - random) / (reference - random)."""
        assert self.reference is not None
        return (value - random) / (self.reference - random)


K, M = 1_000, 1_000_000
ROWS = (
    Row(1, "CartPole-v1", 100 * K, 500, "rl-zoo, ppo; the limit", optimum=True, goal=475),
    Row(2, "Acrobot-v1", 300 * K, -81, "SLM-Lab, ppo", goal=-100),
    Row(3, "Pendulum-v1", 100 * K, -172, "rl-zoo, ppo"),
    Row(4, "MountainCarContinuous-v0", 100 * K, 91, "rl-zoo, a2c"),
    Row(5, "LunarLander-v3", M, 242, "rl-zoo, ppo", goal=200),
    Row(6, "LunarLander-v3, continuous", M, 271, "rl-zoo, ppo", goal=200),
    Row(7, "BipedalWalker-v3", M, 300, "rl-zoo, a2c, 5M steps"),
    Row(8, "HalfCheetah-v5", M, 5819, "rl-zoo, ppo"),
    Row(9, "Hopper-v5", M, 2410, "rl-zoo, ppo"),
    Row(10, "Walker2d-v5", M, 3479, "rl-zoo, ppo"),
    Row(11, "Taxi-v4", 750 * K, 7.9, "optimum", optimum=True),
    Row(12, "FrozenLake-v1, slippery", 200 * K, 0.74, "optimum", optimum=True),
    Row(13, "FrozenLake-v1, not slippery", 100 * K, 1.0, "optimum", optimum=True),
    Row(14, "MiniGrid-Empty-8x8, one-hot", 200 * K, 0.96, "optimum", optimum=True),
    Row(15, "MiniGrid-DoorKey-5x5, one-hot", 400 * K, 0.96, "optimum", optimum=True),
    Row(16, "copy two numbers (MultiDiscrete)", 200 * K, 20, "optimum", optimum=True),
    Row(17, "the greatest of 3 allowed of 10 (mask)", 200 * K, 20, "optimum", optimum=True),
    Row(18, "TinyZerg", 100 * K, 0.96, "own", goal=0.95),
    Row(19, "ConnectFour, games won against lookahead", M, 0.94, "own, tuned", against="lookahead"),
    Row(20, "CliffWalking-v1, 500 steps at most", 200 * K),
    Row(21, "MinAtar Asterix", 700 * K),
    Row(22, "MinAtar Breakout", 700 * K),
    Row(23, "MinAtar Freeway", 700 * K),
    Row(24, "MinAtar Seaquest", 700 * K),
    Row(25, "MinAtar SpaceInvaders", 700 * K),
    Row(26, "Blackjack-v1", 100 * K),
)
