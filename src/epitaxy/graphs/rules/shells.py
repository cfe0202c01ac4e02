"""The nearest neighbours in numbered shells: what is left of a crystal without its lengths."""

from __future__ import annotations

import numpy as np

from epitaxy.graphs.ragged import offsets_of
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.search import EQUAL_LENGTH, Cells, Images, nearest_images

WIDEST = 4.0
"""Widest shell, in shell tolerances: ends shells where lengths are dense."""


def shells(cells: Cells, recipe: GraphRecipe) -> Images:
    """Bond each atom to the whole shells that hold its ``recipe.neighbours`` nearest images.

    A shell ends where the next bond is more than ``recipe.shell_tolerance`` (Å) longer than the one
    before it. It thus hangs on the gaps between shells, which are wide, and not, as where the
    lengths in a shell are compared (Hoffmann et al., Digital Discovery 2, 1368 (2023): 1e-8 Å), on
    the digits with which coordinates were written.
    """
    gap = max(recipe.shell_tolerance, 2 * EQUAL_LENGTH)
    found = nearest_images(
        cells, wanted=recipe.neighbours, cutoff=recipe.cutoff, tolerance=WIDEST * gap
    )
    ranked = in_shells(found, gap=gap, width=WIDEST * gap)
    assert ranked.rank is not None
    starts, atom = offsets_of(ranked.counts)[:-1], _atoms(ranked)
    last = np.full(len(starts), np.iinfo(np.int64).max)
    enough = ranked.counts >= recipe.neighbours
    last[enough] = ranked.rank[starts[enough] + recipe.neighbours - 1]
    return take_images(ranked, np.flatnonzero(ranked.rank <= last[atom]))


def in_shells(images: Images, *, gap: float, width: float) -> Images:
    """Sort the images of each atom by length and number their shells from 1.

    An image starts a shell if it is more than ``gap`` (Å) longer than the one before it, or more
    than ``width`` (Å) longer than the first of the shell.
    """
    atom = _atoms(images)
    images = take_images(images, np.lexsort((images.length, atom)))
    starts = offsets_of(images.counts)[:-1]
    rank = np.ones(len(images.length), np.int64)
    first = np.full(len(starts), -np.inf)
    first[images.counts > 0] = images.length[starts[images.counts > 0]]
    # One place of all lists at a time: what starts a shell depends on where the last one did.
    for place in range(1, int(images.counts.max(initial=0))):
        here = np.flatnonzero(images.counts > place)
        now = starts[here] + place
        length = images.length[now]
        new = (length > images.length[now - 1] + gap) | (length > first[here] + width)
        rank[now] = rank[now - 1] + new
        first[here[new]] = length[new]
    return images._replace(rank=rank)


def take_images(images: Images, rows: np.ndarray) -> Images:
    """Return some images, in this order, which must be grouped by atom as they were."""
    counts = np.bincount(_atoms(images)[rows], minlength=len(images.counts))
    rank = None if images.rank is None else images.rank[rows]
    return Images(counts, images.dst[rows], images.shift[rows], images.length[rows], rank=rank)


def _atoms(images: Images) -> np.ndarray:
    return np.repeat(np.arange(len(images.counts)), images.counts)
