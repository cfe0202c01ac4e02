"""The neighbours and shells of the published CGAT: exactly the first 24, whatever that cuts."""

from __future__ import annotations

import math

import numpy as np

from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.rules.shells import in_shells, take_images
from epitaxy.graphs.search import Cells, Images, nearest_images

SAME_SHELL = 1e-8
"""Å; what is so much longer than the first of a shell starts the next one."""


def cgat(cells: Cells, recipe: GraphRecipe) -> Images:
    """Bond each atom to its ``recipe.neighbours`` nearest images and number their shells.

    J. Hoffmann et al., Digital Discovery 2, 1368 (2023), as in their code (24 neighbours within
    18 Å); a crystal with an atom that has fewer gets no graph. Where the last shell is cut, the
    published choice is that of a neighbour search; here it is by atom and shift.
    """
    found = nearest_images(cells, wanted=recipe.neighbours, cutoff=recipe.cutoff, tolerance=0.0)
    ranked = in_shells(found, gap=math.inf, width=SAME_SHELL)
    atom = np.repeat(np.arange(len(ranked.counts)), ranked.counts)
    order = np.lexsort((*ranked.shift.T[::-1], ranked.dst, ranked.rank, atom))
    kept = np.minimum(ranked.counts, recipe.neighbours)
    return take_images(ranked, order[ranges(offsets_of(ranked.counts)[:-1], kept)])
