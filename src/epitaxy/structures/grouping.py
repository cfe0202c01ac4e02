"""Rows that must stay together when a table is divided."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from epitaxy.core.seeds import generator


def shuffled_groups(keys: Iterable[Hashable], seed: int, purpose: str) -> list[list[int]]:
    """Return lists of positions with equal key, in a random order."""
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    listed = list(groups.values())
    return [listed[i] for i in generator(seed, purpose).permutation(len(listed))]


def fill(groups: list[list[int]], wanted: int) -> tuple[list[list[int]], list[list[int]]]:
    """Take groups, in order, as long as they fit into ``wanted`` rows; at least one is taken.

    >>> fill([[0, 1], [2], [3, 4, 5]], 2)
    ([[0, 1]], [[2], [3, 4, 5]])

    Returns:
        ``(taken, left)``.
    """
    taken: list[list[int]] = []
    left: list[list[int]] = []
    room = wanted
    for group in groups:
        fits = len(group) <= room
        (taken if fits else left).append(group)
        room -= len(group) if fits else 0
    if wanted and not taken and len(left) > 1:
        smallest = min(left, key=len)
        left.remove(smallest)
        taken.append(smallest)
    return taken, left


def flat(groups: list[list[int]]) -> list[int]:
    """Return all rows of some groups in ascending order."""
    return sorted(row for group in groups for row in group)
