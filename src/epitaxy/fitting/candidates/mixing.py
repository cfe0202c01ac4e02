"""`mixture`: all source models and the descriptors, combined by a gate that learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epitaxy.fitting.candidates.family import GIVEN
from epitaxy.fitting.candidates.network import NetworkFamily
from epitaxy.fitting.problem import Problem
from epitaxy.recipes.mixture import DESCRIPTOR, mixture
from epitaxy.recipes.running import Run
from epitaxy.structures.table import StructureTable

LAST_CONV = 0.5
"""Time of the last layer of a source, over that of training all of it."""
FROZEN: dict[str, Any] = {
    "strategy": "head",
    "aggregation": "concat",
    "hidden": (128, 128),
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
}
"""Settings of a mixture whose experts stay as they are (docs/mixture.md)."""


def _proposals(problem: Problem) -> list[tuple[str, dict[str, Any]]]:
    if not problem.sources:
        return []
    experts = [*problem.sources.values(), *(DESCRIPTOR + name for name in problem.descriptors)]
    return [
        ("mixture of frozen sources and descriptors", {"experts": experts, GIVEN: FROZEN}),
        ("mixture of sources and descriptors", {"experts": experts}),
    ]


def _start(
    settings: dict[str, Any], table: StructureTable, target: str, out: Path, **options: Any
) -> Run:
    return mixture(table, target, settings["experts"], out, **settings.get(GIVEN, {}) | options)


def _trained(settings: dict[str, Any], problem: Problem) -> float:
    return 0.0 if GIVEN in settings else LAST_CONV * _whole(problem)


def _frozen(settings: dict[str, Any], problem: Problem) -> float:
    return _whole(problem) - _trained(settings, problem)


def _whole(problem: Problem) -> float:
    return sum(problem.speeds[name] for name in problem.sources)


MIXING = NetworkFamily(
    "mixture",
    transfers=True,
    proposals=_proposals,
    start=_start,
    per_crystal=_trained,
    frozen=_frozen,
)
