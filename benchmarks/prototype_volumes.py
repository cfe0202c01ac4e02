"""How far the volume of a prototype is from that of a crystal with other elements.

    python benchmarks/prototype_volumes.py TABLE.parquet

For each family (cubic perovskites; CsCl; rock salt and zinc blende in their primitive cells) every
member in turn is the prototype of the others, which keep its volume, or are scaled to mined bond
lengths (`epitaxy predict --prototype FILE --volume predicted`).
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from pymatgen.core.structure_prediction.volume_predictor import DLSVolumePredictor

from epitaxy.structures.prototype import SCALING
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

FAMILIES = {
    "cubic perovskite": ([1, 1, 3], 1.0),
    "CsCl": ([1, 1], 1.0),
    "rock salt, zinc blende": ([1, 1], 2**-0.5),
}
"""Numbers of atoms by element, and volume over the cube of the edge; all three edges are equal."""
LARGEST = 40
PROTOTYPES = 15


def members(table: StructureTable, counts: list[int], shape: float) -> list[int]:
    rows = []
    for row in np.flatnonzero(table.n_atoms == sum(counts)):
        edges = np.linalg.norm(table.lattices[row], axis=1)
        volume = abs(np.linalg.det(table.lattices[row]))
        numbers = table.atomic_numbers[table.offsets[row] : table.offsets[row + 1]]
        found = sorted(np.unique(numbers, return_counts=True)[1].tolist())
        if np.ptp(edges) < 0.01 and abs(volume - shape * edges[0] ** 3) < 0.5 and found == counts:
            rows.append(int(row))
    return rows[:LARGEST]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    table = read_table(parser.parse_args().table)
    predictor = DLSVolumePredictor(min_scaling=SCALING[0], max_scaling=SCALING[1])
    print("| family | crystals | prototype's volume, % off | predicted, % off |")
    print("|---|---|---|---|")
    for name, (counts, shape) in FAMILIES.items():
        crystals = [table.structure(row) for row in members(table, counts, shape)]
        kept, scaled = [], []
        for prototype in crystals[:PROTOTYPES]:
            for crystal in crystals:
                if crystal is prototype:
                    continue
                unrelaxed = crystal.copy()
                unrelaxed.scale_lattice(prototype.volume)
                with warnings.catch_warnings(action="ignore"):
                    predicted = predictor.predict(unrelaxed)
                kept.append(abs(prototype.volume / crystal.volume - 1))
                scaled.append(abs(predicted / crystal.volume - 1))
        off = [f"{100 * np.mean(values):.1f}" for values in (kept, scaled)]
        print(f"| {name} | {len(crystals)} | {' | '.join(off)} |")


if __name__ == "__main__":
    main()
