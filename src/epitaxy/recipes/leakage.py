"""What the models know from which a training starts, and a word about test crystals they know."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from epitaxy.checkpoints.learned import Learned, all_learned
from epitaxy.recipes.data import Labelled

logger = logging.getLogger("epitaxy")


def inherit(data: Labelled, models: Iterable[str | Path]) -> Labelled:
    """Note what the models have learned; say how many values of test crystals are among it."""
    before = all_learned(models)
    count = int(_known(data, before).sum())
    if count:
        logger.warning(
            "The source has learned the very values of %d of the %d test crystals; the test error "
            "is too low for new crystals. Leave these out of the test, or use another source.",
            count,
            len(data.ids("test")),
        )
    return replace(data, inherited=before)


def _known(data: Labelled, before: Learned) -> np.ndarray:
    """Tell for which test rows any value was learned, (n,) bool."""
    ids = data.ids("test")
    formulas = [data.table.formulas[row] for row in data.table.rows_of(ids)]
    known = np.zeros(len(ids), dtype=bool)
    for column in data.labels("test").T:
        known |= before.knows_value(formulas, column)
    return known
