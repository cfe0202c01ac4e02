"""`combined`: descriptors and embeddings side by side."""

from __future__ import annotations

from epitaxy.fitting.candidates.shallow import ALL, QUICK, ShallowFamily
from epitaxy.fitting.problem import Problem


def _proposals(problem: Problem) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    sources = tuple(problem.sources)
    # Those that may know everything are scored apart, each by itself.
    apart = [_beside(problem, name) for name in problem.apart]
    if not sources:
        return apart
    every = ("descriptors and embeddings", (*problem.descriptors, *sources), ALL)
    if len(sources) == 1:
        return [every, *apart]
    # One source beside the descriptors is often better than all.
    return [every, *(_beside(problem, name) for name in sources), *apart]


def _beside(problem: Problem, name: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return f"descriptors and embedding of {name}", (*problem.descriptors, name), QUICK


COMBINED = ShallowFamily("combined", transfers=True, proposals=_proposals)
