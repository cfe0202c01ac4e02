"""`combined`: descriptors and embeddings side by side."""

from __future__ import annotations

from epitaxy.fitting.candidates.shallow import ALL, QUICK, ShallowFamily
from epitaxy.fitting.problem import Problem


def _proposals(problem: Problem) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    sources = tuple(problem.sources)
    if not sources:
        return []
    every = ("descriptors and embeddings", (*problem.descriptors, *sources), ALL)
    if len(sources) == 1:
        return [every]
    # One source beside the descriptors is often better than all.
    each = [
        (f"descriptors and embedding of {name}", (*problem.descriptors, name), QUICK)
        for name in sources
    ]
    return [every, *each]


COMBINED = ShallowFamily("combined", transfers=True, proposals=_proposals)
