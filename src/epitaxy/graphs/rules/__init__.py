"""Neighbour rules: which periodic images of which atoms become bonds."""

from epitaxy.core.registry import Registry

RULES = Registry(
    "neighbour rule",
    {
        "cgcnn": "epitaxy.graphs.rules.cgcnn:cgcnn",
        "nearest": "epitaxy.graphs.rules.nearest:nearest",
    },
)
"""Name -> function ``(cells, recipe) -> Images``."""
