"""Check the demonstration data against reference tables, and print what was found.

The folder holds Parquet tables with the columns ``lattice``, ``atomic_numbers``, ``frac_coords``
and ``target``. The target of ``ebg.parquet`` is the experimental band gap in eV; of the others
only the structures (relaxed with DFT) are used; tables of single layers (``2d`` in the name) are
left out. ``--gaps`` names a CSV file with more experimental
gaps: the last column is the gap in eV, the one before it the formula.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from ase.data import covalent_radii
from pymatgen.core import Composition, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from epitaxy.core.elements import NUMBERS
from epitaxy.structures.demo.compiling import Fact, read_facts
from epitaxy.structures.demo.prototypes import elements_of
from epitaxy.structures.table import reduced_formula

RELATIVE, ABSOLUTE = 0.15, 0.25
"""A gap agrees within 15 %, or within 0.25 eV (but never more than half of the gap)."""
VOLUME = 8.0
"""Per cent by which a volume may differ from a relaxed structure of the same space group."""
SHELL = 1.14
"""The first shell of an atom ends at this multiple of its shortest distance."""
COORDINATION = {
    "zincblende": 4, "diamond": 4, "wurtzite": 4, "rocksalt": 6, "caesium-chloride": 8,
    "nickel-arsenide": 6, "fluorite": 8, "antifluorite": 4, "rutile": 6, "anatase": 6,
    "perovskite": 12, "chalcopyrite": 4, "defect-chalcopyrite": 4, "spinel": 4,
    "cadmium-iodide": 6, "cadmium-chloride": 6, "bismuth-iodide": 6, "2H-molybdenite": 6,
    "gallium-sulfide": 4, "hexagonal-boron-nitride": 3, "corundum": 6, "tetradymite": 6,
    "delafossite": 2, "litharge": 4, "cooperite": 4, "cuprite": 2, "pyrite": 6, "bixbyite": 6,
    "anti-bixbyite": 4, "trigonal-selenium": 2, "cinnabar": 2, "alpha-quartz": 4,
    "black-phosphorus": 3, "tin-sulfide": 3, "tenorite": 4,
    "beta-silicon-nitride": 4, "baddeleyite": 7, "mercury-iodide": 4, "elpasolite": 12,
    "antifluorite-hexahalide": 12, "bismuth-telluroiodide": 6, "thallium-selenide": 10,
}  # fmt: skip
"""Structure type -> neighbours of the element that the formula names first."""


class Reference(NamedTuple):
    """What the reference tables know, by reduced formula."""

    gaps: dict[str, list[float]]
    """Experimental gaps in eV."""
    crystals: dict[str, list[Structure]]


class Finding(NamedTuple):
    """Result of all checks of one crystal."""

    fact: Fact
    geometry: str
    """Empty, or what is wrong with distances, density, coordination or formula."""
    gap: str
    """``confirmed``, ``not in reference`` or ``differs``."""
    nearest: float
    """Nearest reference gap in eV."""
    median: float
    volume: float
    """Per cent; NaN when no reference structure has the same formula and space group."""


def key_of(formula: str) -> str:
    """Return the reduced formula in the spelling of `reduced_formula`."""
    amounts = Composition(formula).get_integer_formula_and_factor()[0]
    composition = Composition(amounts)
    numbers = [NUMBERS[e.symbol] for e, n in composition.items() for _ in range(int(n))]
    return reduced_formula(np.array(numbers))


def read_reference(folder: Path, more_gaps: Path | None, wanted: set[str]) -> Reference:
    """Collect gaps and structures of the wanted formulas."""
    gaps, crystals = defaultdict(list), defaultdict(list)
    bulk = [path for path in sorted(folder.glob("*.parquet")) if "2d" not in path.stem]
    for path in bulk:
        for row in pd.read_parquet(path).itertuples():
            key = reduced_formula(row.atomic_numbers)
            if key not in wanted:
                continue
            coords = np.reshape(row.frac_coords, (-1, 3))
            lattice = np.reshape(row.lattice, (3, 3))
            crystals[key].append(Structure(lattice, [int(z) for z in row.atomic_numbers], coords))
            if path.stem == "ebg" and row.target > 0:
                gaps[key].append(float(row.target))
    if more_gaps:
        with more_gaps.open(encoding="utf-8", newline="") as lines:
            for *_, formula, value in list(csv.reader(lines))[1:]:
                key = key_of(formula)
                if key in wanted and float(value) > 0:
                    gaps[key].append(float(value))
    return Reference(gaps, crystals)


def check_geometry(fact: Fact, structure: Structure) -> str:
    """Return what is implausible, or an empty string."""
    faults = []
    if key_of(fact.formula) != reduced_formula(np.array(structure.atomic_numbers)):
        faults.append(f"formula {structure.composition.reduced_formula}")
    start, end, _, distance = structure.get_neighbor_list(6.0)
    z = np.array(structure.atomic_numbers)
    ratio = (distance / (covalent_radii[z[start]] + covalent_radii[z[end]])).min()
    if not 0.8 < ratio < 1.35:
        faults.append(f"shortest distance {ratio:.2f} of the radii")
    if not 1.5 < structure.density < 12.0:
        faults.append(f"density {structure.density:.2f} g/cm^3")
    expected = COORDINATION.get(fact.prototype)
    first = np.flatnonzero(z == NUMBERS[elements_of(fact.formula)[0]])
    shells = [distance[start == i] for i in first]
    found = {int((shell < shell.min() * SHELL).sum()) for shell in shells}
    if expected and found != {expected}:
        faults.append(f"coordination {sorted(found)} instead of {expected}")
    return "; ".join(faults)


def check_volume(structure: Structure, others: list[Structure]) -> float:
    """Return the difference to the nearest volume of the same space group in per cent."""
    number = SpacegroupAnalyzer(structure, 0.05).get_space_group_number()
    same = [o for o in others if SpacegroupAnalyzer(o, 0.1).get_space_group_number() == number]
    own = structure.volume / len(structure)
    changes = [100 * (own / (other.volume / len(other)) - 1) for other in same]
    return min(changes, key=abs, default=float("nan"))


def check_gap(gap: float, known: list[float]) -> tuple[str, float, float]:
    """Return the verdict, the nearest and the median reference gap in eV."""
    if not known:
        return "not in reference", float("nan"), float("nan")
    nearest = min(known, key=lambda other: abs(other - gap))
    allowed = max(RELATIVE * gap, min(ABSOLUTE, gap / 2))
    verdict = "confirmed" if abs(nearest - gap) <= allowed + 1e-9 else "differs"
    return verdict, nearest, float(np.median(known))


def check(fact: Fact, reference: Reference) -> Finding:
    """Run all checks of one crystal."""
    crystal = fact.crystal()
    structure = Structure(
        crystal.lattice, [int(z) for z in crystal.atomic_numbers], crystal.frac_coords
    )
    key = key_of(fact.formula)
    return Finding(
        fact,
        check_geometry(fact, structure),
        *check_gap(fact.gap, reference.gaps.get(key, [])),
        check_volume(structure, reference.crystals.get(key, [])),
    )


def show(findings: list[Finding]) -> None:
    """Print one line per crystal and a summary."""
    for f in findings:
        print(
            f"{f.fact.id:34s} {f.fact.gap:6.2f} eV  nearest {f.nearest:6.2f}  median "
            f"{f.median:6.2f}  {f.gap:16s}  volume {f.volume:+6.1f} %  {f.geometry}"
        )
    compared = [f for f in findings if f.gap != "not in reference"]
    nearest = np.array([f.nearest - f.fact.gap for f in compared])
    median = np.array([f.median - f.fact.gap for f in compared])
    volumes = np.array([f.volume for f in findings if np.isfinite(f.volume)])
    print(f"\n{len(findings)} crystals; gaps: {dict(Counter(f.gap for f in findings))}")
    print(
        f"mean absolute difference of the gap: {np.abs(nearest).mean():.3f} eV to the nearest, "
        f"{np.abs(median).mean():.3f} eV to the median reference value (median of the latter "
        f"{np.median(np.abs(median)):.3f} eV)"
    )
    print(
        f"volumes: {len(volumes)} compared, mean absolute difference "
        f"{np.abs(volumes).mean():.1f} %, {(np.abs(volumes) > VOLUME).sum()} beyond {VOLUME:g} %"
    )
    print(f"geometry: {sum(bool(f.geometry) for f in findings)} crystals with a remark")


def main() -> None:
    """Read the arguments, check every crystal, print the findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path, help="folder with the reference Parquet tables")
    parser.add_argument("--gaps", type=Path, help="CSV file with more experimental gaps")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="pymatgen")
    facts = read_facts()
    wanted = {key_of(fact.formula) for fact in facts}
    reference = read_reference(arguments.datasets, arguments.gaps, wanted)
    show([check(fact, reference) for fact in facts])


if __name__ == "__main__":
    main()
