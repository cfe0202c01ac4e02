"""`head`: a source model of which only the head is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epitaxy.fitting.candidates.network import NetworkFamily
from epitaxy.fitting.problem import Problem
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.structures.table import StructureTable

PER_CRYSTAL = 3e-5
"""Seconds per crystal and epoch on cached crystal vectors."""


def _proposals(problem: Problem) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"head of {name} trained", {"from": where, "source": name})
        for name, where in problem.sources.items()
    ]


def _start(
    settings: dict[str, Any], table: StructureTable, target: str, out: Path, **options: Any
) -> Run:
    return finetune(table, target, settings["from"], out, strategy="head", **options)


HEAD = NetworkFamily(
    "head",
    transfers=True,
    proposals=_proposals,
    start=_start,
    per_crystal=lambda *_: PER_CRYSTAL,
    frozen=lambda settings, problem: problem.speeds[settings["source"]],
    per_step=1e-3,
)
