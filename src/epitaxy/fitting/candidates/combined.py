"""`combined`: descriptors and embeddings side by side."""

from __future__ import annotations

from epitaxy.fitting.candidates.shallow import ALL, ShallowFamily
from epitaxy.fitting.problem import Problem


def _proposals(problem: Problem) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    if not problem.sources:
        return []
    return [("descriptors and embeddings", (*problem.descriptors, *problem.sources), ALL)]


COMBINED = ShallowFamily("combined", transfers=True, proposals=_proposals)
