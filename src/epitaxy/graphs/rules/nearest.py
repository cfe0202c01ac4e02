"""The nearest neighbours and the complete shell of the last one."""

from __future__ import annotations

from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.search import Cells, Images, nearest_images


def nearest(cells: Cells, recipe: GraphRecipe) -> Images:
    """Bond each atom to its ``recipe.neighbours`` nearest images and to those as far as the last.

    No shell is ever cut, so the graph does not depend on how the crystal is described. An atom with
    nobody within the cutoff has no bonds.
    """
    return nearest_images(
        cells,
        wanted=recipe.neighbours,
        cutoff=recipe.cutoff,
        tolerance=recipe.shell_tolerance,
    )
