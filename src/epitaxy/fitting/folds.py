"""Folds of groups of rows, and the pairs of them that are left out together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.structures.grouping import shuffled_groups

FOLDS = 5
KNOWN = -1
"""In place of a fold, of rows that are never held out."""
FEWEST_ROWS = 20
"""Below this number an error would be a guess."""
Held = tuple[int, ...]
"""Folds that a training does not see: one (the outer fold), or two (an outer and an inner one)."""


def group_folds(
    groups: Sequence[str], seed: int, known: np.ndarray | None = None, kind: str = "compositions"
) -> np.ndarray:
    """Assign every row to a fold, (n,) int64; rows of one group share theirs.

    Folds are drawn at random and are nearly equal in size: the largest groups come first, each into
    the smallest fold. Rows that are ``known``, (n,) bool, whole groups, are in none (`KNOWN`): they
    are always learned from. ``kind`` says what the groups are.

    Raises:
        InputError: there are too few rows or groups.

    >>> np.bincount(group_folds([f"A{i // 2}" for i in range(40)], 0)).tolist()
    [8, 8, 8, 8, 8]
    """
    if known is not None and known.any():
        folds = np.full(len(groups), KNOWN, np.int64)
        scored = np.flatnonzero(~known)
        folds[scored] = group_folds([groups[row] for row in scored.tolist()], seed, kind=kind)
        return folds
    shuffled = shuffled_groups(groups, seed, "fit folds")
    if len(groups) < FEWEST_ROWS or len(shuffled) < 2 * FOLDS:
        raise InputError(
            f"There are {len(groups)} usable crystals of {len(shuffled)} {kind}; an honest score "
            f"needs at least {FEWEST_ROWS} of {2 * FOLDS}: add data, or group rows by something "
            "else (--group-by)."
        )
    folds = np.zeros(len(groups), np.int64)
    sizes = [0] * FOLDS
    for group in sorted(shuffled, key=len, reverse=True):
        smallest = sizes.index(min(sizes))
        folds[group] = smallest
        sizes[smallest] += len(group)
    return folds


def pairs(how: str) -> tuple[Held, ...]:
    """Return the pairs of folds that are left out for choosing.

    A model that saw neither fold of a pair serves both: for the first as the outer fold it is
    judged on the second, and the other way round. ``all`` judges on every row outside the outer
    fold, ``ring`` on two folds, ``cover`` on one (on two for one of the outer folds).

    >>> pairs("cover")
    ((0, 1), (2, 3), (0, 4))
    """
    if how == "all":
        return tuple(combinations(range(FOLDS), 2))
    if how == "ring":
        return ((0, 1), (1, 2), (2, 3), (3, 4), (0, 4))
    return ((0, 1), (2, 3), (0, 4))


def partners(held: Sequence[Held], outer: int) -> dict[int, Held]:
    """Return the inner folds on which the outer fold's candidates are judged, with their pairs.

    >>> partners(pairs("ring"), 0)
    {1: (0, 1), 4: (0, 4)}
    """
    with_it = [pair for pair in held if outer in pair]
    return {next(f for f in pair if f != outer): pair for pair in with_it}
