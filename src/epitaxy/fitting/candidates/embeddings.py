"""`embeddings`: the crystal vectors of source models, which do not train."""

from __future__ import annotations

from epitaxy.fitting.candidates.shallow import ALL, QUICK, ShallowFamily
from epitaxy.fitting.problem import Problem


def _proposals(problem: Problem) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    sources = tuple(problem.sources)
    if len(sources) == 1:
        return [(f"embedding of {sources[0]}", sources, ALL)]
    each = [(f"embedding of {name}", (name,), QUICK) for name in sources]
    return [("embeddings of all sources", sources, ALL), *each] if sources else []


EMBEDDINGS = ShallowFamily("embeddings", transfers=True, proposals=_proposals)
