"""Small crystals and the files they are written to."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from epitaxy.structures.table import StructureTable

PAIRS = ["CsCl", "NaCl", "LiF", "KBr", "RbI", "TlCl", "MgO", "CaO"]


def rock(pair: str, a: float = 4.0) -> Structure:
    """A two-atom cubic cell of a two-element formula."""
    symbols = [s for s in pair.replace("O", " O").replace("C", " C").split() if s]
    names = {"CsCl": ["Cs", "Cl"], "NaCl": ["Na", "Cl"], "LiF": ["Li", "F"], "KBr": ["K", "Br"],
             "RbI": ["Rb", "I"], "TlCl": ["Tl", "Cl"]}.get(pair, symbols)  # fmt: skip
    return Structure(Lattice.cubic(a), names, [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture(scope="session")
def crystals():
    return {f"c{i}": rock(pair, 3.5 + 0.1 * i) for i, pair in enumerate(PAIRS)}


@pytest.fixture
def table(crystals):
    return StructureTable.from_structures(
        list(crystals), list(crystals.values()), values={"gap": np.arange(len(crystals))}
    )


@pytest.fixture
def cif_folder(tmp_path, crystals):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name, structure in crystals.items():
        structure.to(str(folder / f"{name}.cif"))
    return folder


@pytest.fixture
def many():
    """100 crystals of 40 formulas, so that groups of formulas exist; 5 values are missing."""
    rng = np.random.default_rng(0)
    formulas = rng.integers(0, 40, 100)
    values = rng.normal(size=100)
    values[:5] = np.nan
    return StructureTable.from_arrays(
        ids=[f"m{i}" for i in range(100)],
        lattices=[np.eye(3) * 4.0] * 100,
        atomic_numbers=[[3 + f, 8] for f in formulas],
        frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]]] * 100,
        values={"gap": values},
    )
