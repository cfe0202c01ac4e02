"""Sources that know answers: the crystals concerned are not scored, or the source is left out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import fisher_exact, ks_2samp

from epitaxy.checkpoints.learned import Materials
from epitaxy.checkpoints.relations import Relation
from epitaxy.fitting.folds import FEWEST_ROWS
from epitaxy.recipes.leakage import Familiarity, familiarity
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
MOST_UNSCORED = 0.5
"""Share of the rows that may go without a score for the sake of sources."""
FEWEST_SCORED = 2 * FEWEST_ROWS
"""Rows that are scored in any case, where there are so many."""
UNLIKE = 0.01
"""Level of the tests whether scored rows are like the others."""
SLIGHT = 0.05
"""Distance of the distributions of scored and of all rows below which it does not matter."""


class Usable(NamedTuple):
    """The sources from which may be transferred."""

    models: dict[str, str]
    """Name -> model."""
    apart: dict[str, str]
    """The same of those that do not say what they have learned: scored apart."""
    kinds: np.ndarray
    """(n,) of `Relation`: the most that any of ``models`` knows of each crystal."""
    told: tuple[str, ...]
    """Sentences about what sources know."""


def usable_sources(
    models: Mapping[str, str],
    table: StructureTable,
    target: str,
    *,
    most: float = MOST_UNSCORED,
    trust: bool = False,
) -> Usable:
    """Find out what sources know of the crystals, and which sources know too much.

    A crystal whose value a source has learned may teach, but an error on it would tell nothing of
    new crystals. So it is never held out. Sources are left out, those that know most first, where
    too few rows would be scored, or rows that are unlike the others.

    Args:
        models: name -> model.
        table: labelled crystals.
        target: property to learn.
        most: largest share of the rows that may go without a score.
        trust: take sources that do not say what they have learned for innocent.
    """
    labels = table.column(target)
    materials = Materials(table)
    known = {name: familiarity(where, materials, labels) for name, where in models.items()}
    kinds, kept = np.full(len(labels), Relation.UNKNOWN, dtype=np.int8), set()
    told: list[str] = []
    for name in sorted(models, key=lambda n: known[n].count(Relation.SAME)):
        found = known[name]
        together = np.maximum(kinds, found.kinds)
        why = (
            _why_not(labels, together == Relation.SAME, most) if found.count(Relation.SAME) else ""
        )
        if not why:
            kept.add(name)
            kinds = together
        told += _sentences(models[name], found, len(labels), why)
    apart = {n: m for n, m in models.items() if n in kept and not known[n].is_complete}
    if trust:
        apart = {}
    told += [
        f"{where} does not say what it has learned, so it may know these values: it is scored "
        "apart. --trust-sources lets it compete with the others."
        for where in apart.values()
    ]
    for sentence in told:
        logger.warning("%s", sentence)
    own = {n: m for n, m in models.items() if n in kept and n not in apart}
    return Usable(own, apart, kinds, tuple(told))


def _why_not(labels: np.ndarray, unscored: np.ndarray, most: float) -> str:
    """Say why rows cannot go without a score; nothing where they can."""
    left = len(labels) - int(unscored.sum())
    if unscored.mean() > most or left < FEWEST_SCORED:
        return f"without these, too few ({left}) would be scored"
    if unlike(labels, unscored):
        return "without these, the scored crystals would be unlike the others"
    return ""


def unlike(labels: np.ndarray, unscored: np.ndarray) -> bool:
    """Tell whether the labels of scored rows are distributed unlike those of all rows.

    Two tests, each at the level `UNLIKE`: that of Kolmogorov and Smirnov, where the distance from
    all rows is more than `SLIGHT`, and Fisher's of the share of zeros.

    Args:
        labels: (n,)
        unscored: (n,) bool.

    >>> gaps = np.concatenate([np.zeros(30), np.linspace(1, 5, 30)])
    >>> unlike(gaps, gaps > 3.5), unlike(gaps, np.arange(60) % 4 == 0)
    (True, False)
    """
    if not unscored.any() or unscored.all():
        return False
    scored, others = labels[~unscored], labels[unscored]
    distance = ks_2samp(scored, labels).statistic
    if distance > SLIGHT and ks_2samp(scored, others).pvalue < UNLIKE:
        return True
    zeros = np.array([[(part == 0).sum(), (part != 0).sum()] for part in (scored, others)])
    return bool(fisher_exact(zeros)[1] < UNLIKE)


def _sentences(model: str, found: Familiarity, n: int, why: str) -> list[str]:
    """Say what a source knows of n crystals, and what follows from it."""
    told = []
    if same := found.count(Relation.SAME):
        trained = f"was trained on {same} of your {n} materials ({found.named(Relation.SAME)})"
        if why:
            return [f"Skipped {model}: it {trained}; {why}."]
        told.append(f"{model} {trained}: they are used for training, but not scored.")
    if related := found.count(Relation.RELATED):
        told.append(
            f"{model} knows a related property ({found.named(Relation.RELATED)}) of {related} of "
            f"your {n} materials: their error is told apart."
        )
    return told
