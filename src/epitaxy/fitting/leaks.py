"""Sources that know the answers: left out, or told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from epitaxy.checkpoints.learned import all_learned, read_learned
from epitaxy.fitting.score import score
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
TOLERATED = 0.01
"""Share of the rows whose value a source may have learned; more would make the error too low."""
FEWEST = 2


def without_leaks(
    models: Mapping[str, str], table: StructureTable, target: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Leave out the sources that have learned the values of these very crystals.

    Returns:
        The other models, and a sentence for each that is left out.
    """
    kept, told = {}, []
    labels = table.column(target)
    for name, where in models.items():
        count = int(read_learned(where).knows_value(table.formulas, labels).sum())
        if count < max(FEWEST, TOLERATED * len(labels)):
            kept[name] = where
            continue
        told.append(
            f"The source {where} has learned the values of {count} of these {len(labels)} crystals "
            "and is left out: with it, the error would be too low."
        )
        logger.warning("%s", told[-1])
    return kept, tuple(told)


def of_new_compositions(
    errors: np.ndarray, formulas: tuple[str, ...], sources: Iterable[str], n_folds: int
) -> dict[str, Any]:
    """Return the error on compositions of which no source has learned any property.

    Returns:
        ``n``, ``mae`` and ``mae_interval``; only ``n`` where all or none of the rows are new.
    """
    new = ~all_learned(sources).knows(formulas)
    n = int(new.sum())
    if n in (0, len(errors)):
        return {"n": n}
    found = score(
        errors[new], [f for f, fresh in zip(formulas, new, strict=True) if fresh], n_folds
    )
    return {"n": n, "mae": found.mae, "mae_interval": list(found.interval)}
