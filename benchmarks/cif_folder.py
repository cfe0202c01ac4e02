"""Write some crystals of a table as CIF files with a CSV that has a header, as users have them.

python benchmarks/cif_folder.py ebg.parquet cifs --rows 300
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from epitaxy.structures.reading import read_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--target", default="target")
    parser.add_argument("--name", default="gap", help="column of the values in the CSV")
    options = parser.parse_args()
    table = read_table(options.table, target=options.target)
    chosen = np.random.default_rng(0).permutation(len(table))[: options.rows]
    options.out.mkdir(parents=True)
    for row in chosen.tolist():
        table[row].to(str(options.out / f"{table.ids[row]}.cif"))
    frame = pd.DataFrame(
        {"name": table.ids[chosen], options.name: table.values[options.target][chosen]}
    )
    frame.to_csv(options.out / "values.csv", index=False)
    print(f"{len(frame)} crystals, median {np.median(table.n_atoms[chosen]):.0f} atoms")


if __name__ == "__main__":
    main()
