"""Whether alignn 2023.4.1 reads an exported run and predicts what this package predicts.

    python benchmarks/exported_alignn.py RUN DATA.parquet [--crystals 40]

RUN is a run of ALIGNN with published graphs (``--recipe published``), DATA has the columns lattice,
atomic_numbers, frac_coords and what RUN predicts. The official package builds its own graphs, in an
environment of its own in the user's cache (made at the first call, several GB).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from alignn_parts.environments import default_folder, environment
from epitaxy.recipes.exporting import export_checkpoint
from epitaxy.recipes.predict import predict
from epitaxy.structures.reading import read_table

OFFICIAL = Path(__file__).parent / "alignn_parts" / "exported.py"


def main() -> None:
    """Print the straight line from the official outputs to ours, and the largest deviation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--crystals", type=int, default=40)
    options = parser.parse_args()
    table = read_table(options.data)
    table = table.select(np.linspace(0, len(table) - 1, options.crystals).astype(int))
    ours = predict(options.run, table).set_index("id")["y_pred"].loc[list(table.ids)].to_numpy()
    first = np.cumsum(table.n_atoms) - table.n_atoms
    crystals = [
        {
            "lattice": table.lattices[row].tolist(),
            "numbers": table.atomic_numbers[start : start + n].tolist(),
            "coordinates": table.frac_coords[start : start + n].tolist(),
        }
        for row, (start, n) in enumerate(zip(first, table.n_atoms, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_checkpoint(options.run, Path(folder) / "exported.pt")
        request = Path(folder) / "crystals.json"
        request.write_text(json.dumps(crystals), encoding="utf-8")
        python = environment("2023", default_folder(), sys.executable)
        answer = subprocess.run(
            [python, OFFICIAL, exported, request], check=True, capture_output=True, text=True
        )
    official = np.array(json.loads(answer.stdout.splitlines()[-1]))
    slope, shift = np.polyfit(official, ours, 1)
    worst = np.abs(ours - slope * official - shift).max() / ours.std()
    print(f"{len(ours)} crystals: ours = {slope:.7f} * official + {shift:.5g}")
    print(f"largest deviation: {worst:.2g} of the standard deviation of the predictions")


if __name__ == "__main__":
    main()
