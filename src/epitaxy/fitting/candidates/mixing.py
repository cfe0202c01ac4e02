"""`mixture`: all source models and the descriptors, combined by a gate that learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epitaxy.fitting.candidates.network import NetworkFamily
from epitaxy.fitting.problem import Problem
from epitaxy.recipes.mixture import DESCRIPTOR, mixture
from epitaxy.recipes.running import Run
from epitaxy.structures.table import StructureTable

LAST_CONV = 0.5
"""Time of the last layer of a source, over that of training all of it."""


def _proposals(problem: Problem) -> list[tuple[str, dict[str, Any]]]:
    if not problem.sources:
        return []
    experts = [*problem.sources.values(), *(DESCRIPTOR + name for name in problem.descriptors)]
    return [("mixture of sources and descriptors", {"experts": experts})]


def _start(
    settings: dict[str, Any], table: StructureTable, target: str, out: Path, **options: Any
) -> Run:
    return mixture(table, target, settings["experts"], out, **options)


MIXING = NetworkFamily(
    "mixture",
    transfers=True,
    proposals=_proposals,
    start=_start,
    per_crystal=lambda _, problem: LAST_CONV * sum(problem.speeds[n] for n in problem.sources),
)
