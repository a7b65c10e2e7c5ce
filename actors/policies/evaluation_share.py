"""Which of a client's games evaluate the policy: decided by their numbers alone, before their first step.

So neither how a game goes nor how long it takes has a say. A share of a tenth is one of every ten games in turn, and
not a draw for each: the share is exact. Which of the ten is drawn, so that games whose opponents or maps alternate in
some order are evaluated with all of them.
"""

from __future__ import annotations

import hashlib
import math


def is_evaluation(number: int, share: float, seed: int) -> bool:
    """Whether a game is one of the share.

    Args:
        number: of the game among the client's, from 0.
        share: of the games, at least 0 and less than 1.
        seed: of the client.
    """
    if share <= 0:
        return False
    block = math.floor(number * share)
    first, after = _first(block, share), _first(block + 1, share)
    return number == first + _draw(seed, block) % (after - first)


def _first(block: int, share: float) -> int:
    """The first number whose part of the share, rounded down, is `block`."""
    number = max(math.ceil(block / share) - 1, 0)
    while math.floor(number * share) < block:
        number += 1
    return number


def _draw(seed: int, block: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {block}".encode(), digest_size=8).digest(), "big")
