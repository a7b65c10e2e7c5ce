"""Actors that wait to be admitted: a few at a time, and fair between those whose names begin alike."""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import lru_cache

_NUMBERS = re.compile(r"(?:[-_.]?\d+)+$")
QUEUED_MAX = 8192  # names
_SAME_MAX = 1024  # names of one prefix


@lru_cache(maxsize=1 << 14)
def prefix_of(name: str) -> str:
    """What the names of one supervisor's actors have in common: the name without the numbers at its end."""
    return _NUMBERS.sub("", name) or name


class Candidates:
    """A queue of names. Each prefix has its turn, so that thousands of names of one do not hold up the others."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()  # by prefix
        self._several: dict[str, None] = {}  # prefixes of which there are several names
        self._names: set[str] = set()  # all of them: most that are found in a search of the database are queued

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Append a name, unless it is there, or there are too many of its prefix or in all."""
        if name in self._names:
            return
        prefix = prefix_of(name)
        queue = self._queues.get(prefix)
        if queue is not None and len(queue) >= _SAME_MAX:
            return
        if len(self._names) >= QUEUED_MAX and not (queue is None and self._drop_one()):
            return
        if queue is None:
            self._queues[prefix] = OrderedDict({name: None})
        else:
            queue[name] = None
            self._several[prefix] = None
        self._names.add(name)

    def take(self, most: int) -> list[str]:
        """Remove and return the next names, at most so many: one of each prefix in turn."""
        taken: list[str] = []
        while self._queues and len(taken) < most:
            prefix, queue = self._queues.popitem(last=False)
            taken.append(queue.popitem(last=False)[0])
            if queue:
                self._queues[prefix] = queue
            if len(queue) == 1:
                del self._several[prefix]
        self._names.difference_update(taken)
        return taken

    def clear(self) -> None:
        """Forget all."""
        self._queues.clear()
        self._several.clear()
        self._names.clear()

    def _drop_one(self) -> bool:
        """Drop a name of a prefix that has several; False where there is none."""
        if not self._several:
            return False
        prefix = next(iter(self._several))
        name, _ = self._queues[prefix].popitem()
        self._names.discard(name)
        if len(self._queues[prefix]) == 1:
            del self._several[prefix]
        return True
