"""`structure`: density, symmetry and local environments, as matminer computes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed

from epitaxy.core.progress import Progress
from epitaxy.descriptors.checks import MIN_DISTANCE, TOO_NEAR, structure_reasons
from epitaxy.descriptors.featurizing import EXTRA, MatminerDescriptor, featurized, labels
from epitaxy.descriptors.packages import needs
from epitaxy.descriptors.table import Vectors
from epitaxy.structures.table import StructureTable

PARALLEL_FROM = 100
"""With fewer crystals, starting worker processes takes longer than describing."""
MOST_WORKERS = 8
TASK_ROWS = 20
"""Crystals that are sent to a worker together."""


class StructureFeatures(MatminerDescriptor):
    """Density (g/cm^3), volume per atom (Å^3), symmetry and order parameters; needs matminer.

    The order parameters say how much the surroundings of a site are like each of many known
    coordination polyhedra; mean and standard deviation over the sites are kept.

    Source: N. E. R. Zimmermann and A. Jain, RSC Adv. 10, 6063 (2020), for the order parameters;
    L. Ward et al., Comput. Mater. Sci. 152, 60 (2018), for matminer.
    """

    def featurizers(self) -> tuple[Any, ...]:
        """Return what computes the 127 features.

        Raises:
            InputError: matminer is not installed.
        """
        return _featurizers()

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe all crystals, those of large tables in several processes.

        Raises:
            InputError: matminer is not installed.
        """
        reasons = structure_reasons(table)
        values = np.full((len(table), len(self.names)), np.nan)
        rows = np.flatnonzero([not reason for reason in reasons])
        if workers is None:
            workers = min(cpu_count(), MOST_WORKERS) if len(rows) > PARALLEL_FROM else 1
        pieces = np.split(rows, range(TASK_ROWS, len(rows), TASK_ROWS))
        parts = (table.select(piece) for piece in pieces)
        if workers == 1:
            results = map(_describe, parts)
        else:
            # joblib's processes start clean and use one thread each when there is one per core.
            pool = Parallel(n_jobs=workers, return_as="generator")
            results = pool(delayed(_describe)(part) for part in parts)
        with Progress(len(rows), "structure features") as bar:
            for piece, (found, why) in zip(pieces, results, strict=True):
                values[piece] = found
                for row, reason in zip(piece.tolist(), why, strict=True):
                    reasons[row] = reason
                bar.step(len(piece))
        return Vectors(values, reasons)


STRUCTURE = StructureFeatures()


def _describe(table: StructureTable) -> Vectors:
    """Describe the crystals of a small table; runs in a worker."""
    featurizers = _featurizers()
    values = np.full((len(table), len(labels(featurizers))), np.nan)
    reasons = [""] * len(table)
    for row in range(len(table)):
        structure = table.structure(row)
        if structure.is_valid(MIN_DISTANCE):
            values[row], reasons[row] = featurized(featurizers, structure)
        else:
            reasons[row] = TOO_NEAR
    return Vectors(values, reasons)


@cache
def _featurizers() -> tuple[Any, ...]:
    with needs("matminer", EXTRA):
        from matminer.featurizers.structure import (
            DensityFeatures,
            GlobalSymmetryFeatures,
            SiteStatsFingerprint,
        )

        # Without packing (not all elements have a radius there), and without what depends on the
        # choice of the cell (number of symmetry operations, complexity).
        density = ["density", "vpa"]
        symmetry = ["spacegroup_num", "crystal_system_int", "is_centrosymmetric"]
        return (
            DensityFeatures(density),
            GlobalSymmetryFeatures(symmetry),
            SiteStatsFingerprint.from_preset("CrystalNNFingerprint_ops"),
        )
