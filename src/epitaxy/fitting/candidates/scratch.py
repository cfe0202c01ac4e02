"""`scratch`: CGCNN from random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from epitaxy.fitting.candidates.network import NetworkFamily
from epitaxy.fitting.problem import SCRATCH, Problem
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.structures.table import StructureTable

FEWEST = 200
"""Crystals below which a network from random weights is not worth its time."""


def _proposals(problem: Problem) -> list[tuple[str, dict[str, Any]]]:
    enough = len(problem.table) >= FEWEST
    return [(f"{SCRATCH} from scratch", {})] if enough else []


def _start(
    settings: dict[str, Any], table: StructureTable, target: str, out: Path, **options: Any
) -> Run:
    del settings
    return train(table, target, out, model=SCRATCH, **options)


FROM_SCRATCH = NetworkFamily(
    "scratch",
    transfers=False,
    proposals=_proposals,
    start=_start,
    per_crystal=lambda _, problem: problem.speeds[SCRATCH],
)
