"""Element features: 92 binary numbers per element in nine one-hot blocks (Xie & Grossman 2018).

And the 200 numbers of word vectors, from a package that is optional.
"""

from __future__ import annotations

import csv
import json
from functools import cache
from importlib import resources

import numpy as np

from epitaxy.core.elements import NUMBERS
from epitaxy.core.errors import InputError

MAX_ATOMIC_NUMBER = 100
N_FEATURES = 92
BLOCK_STARTS = {
    "group": 0,
    "period": 19,
    "electronegativity": 26,
    "covalent_radius": 36,
    "valence_electrons": 46,
    "ionisation_energy": 58,
    "electron_affinity": 68,
    "orbital_block": 78,
    "atomic_volume": 82,
}
"""Block -> its first column. The file gives the column within the block, empty if not known."""

MATSCHOLAR = "data/element_representations/matscholar-embedding.json"
"""Where the package ElementEmbeddings keeps the vectors."""


@cache
def element_table() -> np.ndarray:
    """Return the features by atomic number, (101, 92) uint8, read-only; row 0 is zero.

    Source: T. Xie and J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018), Table S2.

    >>> element_table()[8].nonzero()[0].tolist()
    [16, 20, 34, 37, 51, 64, 74, 79, 86]
    """
    text = resources.files("epitaxy.graphs").joinpath("element_categories.csv").read_text("utf-8")
    table = np.zeros((MAX_ATOMIC_NUMBER + 1, N_FEATURES), np.uint8)
    for z, row in enumerate(csv.DictReader(text.splitlines()), start=1):
        for block, start in BLOCK_STARTS.items():
            if row[block]:
                table[z, start + int(row[block])] = 1
    table.setflags(write=False)
    return table


@cache
def matscholar_table() -> np.ndarray:
    """Return the vectors by atomic number, (101, 200) float32, read-only; row 0 is zero.

    Source: L. Weston et al., J. Chem. Inf. Model. 59, 3692 (2019), from the package
    ElementEmbeddings, whose file equals the one of the published CGAT.

    Raises:
        InputError: that package is not installed.
    """
    try:
        # The data alone: the package itself would import plotting libraries.
        text = resources.files("elementembeddings").joinpath(MATSCHOLAR).read_text("utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise InputError(
            "The matscholar vectors of the elements need the package ElementEmbeddings; install it "
            "with: pip install 'epitaxy[elements]', or set elements to 'table'."
        ) from error
    vectors = json.loads(text)
    table = np.zeros((MAX_ATOMIC_NUMBER + 1, len(vectors["H"])), np.float32)
    for symbol, vector in vectors.items():
        if NUMBERS[symbol] <= MAX_ATOMIC_NUMBER:
            table[NUMBERS[symbol]] = vector
    table.setflags(write=False)
    return table
