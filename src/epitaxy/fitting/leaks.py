"""Sources that know answers: the crystals concerned are not scored, or the source is left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from epitaxy.checkpoints.learned import all_learned, read_learned
from epitaxy.fitting.folds import FEWEST_ROWS
from epitaxy.results.intervals import score
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
MOST = 0.25
"""Share of the rows that may go without a score for the sake of sources."""
FEWEST_SCORED = 2 * FEWEST_ROWS
"""Rows that are scored in any case, where there are so many."""


class Usable(NamedTuple):
    """The sources from which may be transferred."""

    models: dict[str, str]
    """Name -> model."""
    known: np.ndarray
    """(n,) bool: a source has learned the value of a crystal of this composition."""
    told: tuple[str, ...]
    """A sentence about each source that knows an answer."""


def usable_sources(
    models: Mapping[str, str], table: StructureTable, target: str, *, most: float = MOST
) -> Usable:
    """Find the rows whose values sources have learned, and the sources that know too many.

    A crystal whose value a source has learned may teach, but an error on it would tell nothing of
    new crystals. So it is never held out, and neither is another of its composition.

    Args:
        models: name -> model.
        table: labelled crystals.
        target: property to learn.
        most: largest share of the rows that may go without a score; sources that know more, or
            with which all together would know more, are left out, those that know most first.
    """
    labels, formulas = table.column(target), np.asarray(table.formulas)
    rows: dict[str, np.ndarray] = {}
    for name, where in models.items():
        same = read_learned(where).knows_value(table.formulas, labels)
        rows[name] = np.isin(formulas, formulas[same])
    known, kept, told = np.zeros(len(labels), dtype=bool), set(), []
    for name in sorted(models, key=lambda n: int(rows[n].sum())):
        together = known | rows[name]
        scored = len(labels) - int(together.sum())
        count = int(rows[name].sum())
        if not count or (together.mean() <= most and scored >= FEWEST_SCORED):
            kept.add(name)
            known = together
            end = "they are learned from, but take no part in any score."
        else:
            end = "too many to tell an honest error without them; it is left out."
        if count:
            told.append(
                f"The source {models[name]} has learned the values of {count} of these "
                f"{len(labels)} crystals: {end}"
            )
            logger.warning("%s", told[-1])
    return Usable({n: m for n, m in models.items() if n in kept}, known, tuple(told))


def of_new_compositions(
    errors: np.ndarray, formulas: Sequence[str], sources: Iterable[str], n_folds: int
) -> dict[str, Any]:
    """Return the error on compositions of which no source has learned any property.

    Returns:
        ``n``, ``mae`` and ``mae_interval``; only ``n`` where all or none of the rows are new.
    """
    new = ~all_learned(sources).knows(formulas)
    n = int(new.sum())
    if n in (0, len(errors)):
        return {"n": n}
    groups = [f for f, fresh in zip(formulas, new, strict=True) if fresh]
    found = score(errors[new], groups, n_folds)
    return {"n": n, "mae": found.mae, "mae_interval": list(found.interval)}
