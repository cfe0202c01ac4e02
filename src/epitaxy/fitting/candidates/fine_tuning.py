"""`finetune`: a source model of which everything is trained further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epitaxy.fitting.candidates.network import NetworkFamily
from epitaxy.fitting.problem import Problem
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.structures.table import StructureTable


def _proposals(problem: Problem) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{name} fine-tuned", {"from": where, "source": name})
        for name, where in problem.sources.items()
    ]


def _start(
    settings: dict[str, Any], table: StructureTable, target: str, out: Path, **options: Any
) -> Run:
    return finetune(table, target, settings["from"], out, strategy="full", **options)


def _per_crystal(settings: dict[str, Any], problem: Problem) -> float:
    return problem.speeds[settings["source"]]


FINE_TUNING = NetworkFamily(
    "finetune", transfers=True, proposals=_proposals, start=_start, per_crystal=_per_crystal
)
