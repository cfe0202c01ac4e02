"""Neighbour rules: which periodic images of which atoms become bonds."""

from epitaxy.core.registry import Registry

RULES = Registry(
    "neighbour rule",
    {
        "alignn-2023": "epitaxy.graphs.rules.alignn_2023:alignn_2023",
        "cgat": "epitaxy.graphs.rules.cgat:cgat",
        "cgcnn": "epitaxy.graphs.rules.cgcnn:cgcnn",
        "nearest": "epitaxy.graphs.rules.nearest:nearest",
        "shells": "epitaxy.graphs.rules.shells:shells",
        "symmetric": "epitaxy.graphs.rules.symmetric:symmetric",
    },
)
"""Name -> function ``(cells, recipe) -> Images``."""
