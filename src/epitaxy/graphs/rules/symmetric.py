"""The nearest neighbours of each atom, and every bond also from its other end."""

from __future__ import annotations

import math

import numpy as np

from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.rules.nearest import nearest
from epitaxy.graphs.search import Cells, Images


def symmetric(cells: Cells, recipe: GraphRecipe) -> Images:
    """Bond two atoms when either of them is among the nearest of the other.

    The rule `nearest`, made symmetric: every bond comes exactly once in each direction, so paths
    of two bonds, and with them angles, exist both ways (ALIGNN needs this; K. Choudhary and
    B. DeCost, npj Comput. Mater. 7, 185 (2021)).
    """
    found = nearest(cells, recipe)
    n_atoms, n_found = len(found.counts), len(found.dst)
    src = np.concatenate([np.repeat(np.arange(n_atoms), found.counts), found.dst])
    dst = np.concatenate([found.dst, src[:n_found]])
    shift = np.concatenate([found.shift, -found.shift])
    length = np.concatenate([found.length, found.length])
    key = row_keys(src, dst, *shift.T)
    _, kept = np.unique(key, return_index=True)
    src, dst, shift, length = src[kept], dst[kept], shift[kept], length[kept]
    ends = np.stack([src, dst])
    there, back = row_keys(ends, ends[::-1], *np.moveaxis(np.stack([shift, -shift]), -1, 0))
    counts = np.bincount(src, minlength=n_atoms)
    return Images(counts, dst, shift, length, reverse=np.searchsorted(there, back))


def row_keys(*columns: np.ndarray) -> np.ndarray:
    """Number rows so that keys order, and are equal, as the rows of integers are.

    Args:
        columns: integers, each (E,) or all of one other shape; the first sorts first.

    >>> row_keys(np.array([1, 0, 1]), np.array([7, 9, 7])).tolist()
    [3, 2, 3]
    """
    if columns[0].size == 0:
        return np.zeros(columns[0].shape, np.int64)
    low = [int(c.min()) for c in columns]
    spans = [int(c.max()) - least + 1 for c, least in zip(columns, low, strict=True)]
    if math.prod(spans) >= 2**63:
        rows = np.stack([c.ravel() for c in columns], axis=1)
        return np.unique(rows, axis=0, return_inverse=True)[1].reshape(columns[0].shape)
    key = np.zeros(columns[0].shape, np.int64)
    for column, least, span in zip(columns, low, spans, strict=True):
        key = key * span + (column - least)
    return key
