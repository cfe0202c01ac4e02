"""The rule of CGCNN: exactly the first twelve, whatever that cuts."""

from __future__ import annotations

import numpy as np

from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.search import EQUAL_LENGTH, Cells, Images, nearest_images


def cgcnn(cells: Cells, recipe: GraphRecipe) -> Images:
    """Bond each atom to exactly ``recipe.neighbours`` images (Xie & Grossman 2018; Chang 2022).

    Equal lengths (1e-6 Å) are ordered by atom and shift. A short list is filled up with the first
    atom of the crystal at ``cutoff + 1`` Å; the published models do not mask these.
    """
    wanted = recipe.neighbours
    found = nearest_images(cells, wanted=wanted, cutoff=recipe.cutoff, tolerance=0.0)
    order = _tie_order(found)
    starts = offsets_of(found.counts)[:-1]
    kept = np.minimum(found.counts, wanted)
    n_atoms = len(kept)
    first_atom = np.repeat(cells.offsets[:-1], np.diff(cells.offsets))
    dst = np.repeat(first_atom, wanted)
    shift = np.zeros((n_atoms * wanted, 3), np.int64)
    length = np.full(n_atoms * wanted, recipe.cutoff + 1.0)
    source = order[ranges(starts, kept)]
    target = ranges(np.arange(n_atoms) * wanted, kept)
    dst[target], shift[target], length[target] = (
        found.dst[source],
        found.shift[source],
        found.length[source],
    )
    return Images(np.full(n_atoms, wanted), dst, shift, length)


def _tie_order(images: Images) -> np.ndarray:
    """Sort the images of each atom by (rounded length, atom, shift)."""
    atom = np.repeat(np.arange(len(images.counts)), images.counts)
    ticks = np.rint(images.length / EQUAL_LENGTH).astype(np.int64)
    keys = (*images.shift.T[::-1], images.dst, ticks, atom)
    order: np.ndarray = np.lexsort(keys)
    return order
