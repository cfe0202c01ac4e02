"""`magpie`: the composition features of Magpie, as matminer computes them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from epitaxy.core.progress import track
from epitaxy.descriptors.checks import composition_reasons
from epitaxy.descriptors.featurizing import EXTRA, MatminerDescriptor, featurized, labels
from epitaxy.descriptors.packages import needs
from epitaxy.descriptors.table import Vectors
from epitaxy.structures.table import StructureTable


class Magpie(MatminerDescriptor):
    """Element statistics, stoichiometry, valence orbitals and ionicity; needs matminer.

    Element data that matminer does not have are replaced by their mean over all elements.

    Source: L. Ward, A. Agrawal, A. Choudhary and C. Wolverton, npj Comput. Mater. 2, 16028 (2016);
    L. Ward et al., Comput. Mater. Sci. 152, 60 (2018), for matminer.
    """

    def featurizers(self) -> tuple[Any, ...]:
        """Return what computes the 149 features.

        Raises:
            InputError: matminer is not installed.
        """
        return _featurizers()

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe all crystals, each formula once; ``workers`` is not used.

        Raises:
            InputError: matminer is not installed.
        """
        del workers
        from pymatgen.core import Composition

        featurizers = _featurizers()
        reasons = composition_reasons(table)
        values = np.full((len(table), len(labels(featurizers))), np.nan)
        rows_of: dict[str, list[int]] = {}
        for row in (row for row, reason in enumerate(reasons) if not reason):
            rows_of.setdefault(table.formulas[row], []).append(row)
        for formula, rows in track(rows_of.items(), len(rows_of), "magpie features"):
            values[rows], reason = featurized(featurizers, Composition(formula))
            for row in rows:
                reasons[row] = reason
        return Vectors(values, reasons)


MAGPIE = Magpie()


@cache
def _featurizers() -> tuple[Any, ...]:
    with needs("matminer", EXTRA):
        from matminer.featurizers.composition import (
            ElementProperty,
            IonProperty,
            Stoichiometry,
            ValenceOrbital,
        )

        return (
            ElementProperty.from_preset("magpie", impute_nan=True),
            Stoichiometry(),
            ValenceOrbital(impute_nan=True),
            IonProperty(fast=True, impute_nan=True),
        )
