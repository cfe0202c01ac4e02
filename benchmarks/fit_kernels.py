"""Errors of the learner `kernel` with several hyperparameters, to choose the untuned ones.

Five folds of compositions on up to ``--rows`` crystals of each table, the descriptors of
`epitaxy fit`. Printed is the error over the lowest of each table, and the mean over the tables.

    python benchmarks/fit_kernels.py TABLE.parquet TABLE.parquet ...
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd

from epitaxy.fitting.candidates.shallow import fit_shallow
from epitaxy.fitting.setting_up import DESCRIPTORS
from shallow_folds import described

PENALTIES, WIDTHS, TUBES = (1.0, 3.0, 10.0, 30.0), (1.0, 1.4, 2.0, 3.0), (0.003, 0.01, 0.05)


def errors(path: Path, target: str, rows: int) -> dict[tuple[float, float, float], float]:
    """Return penalty, width and tube -> mean absolute error."""
    table = described(path, target, rows)
    totals = {}
    for key in product(PENALTIES, WIDTHS, TUBES):
        given = dict(zip(("penalty", "width", "tube"), key, strict=True))
        totals[key] = table.error(
            partial(
                fit_shallow, blocks=DESCRIPTORS, learner="kernel", transform="identity", seed=0,
                hyperparameters=given,
            )
        )  # fmt: skip
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--target", default="target")
    parser.add_argument("--rows", type=int, default=700)
    given = parser.parse_args()
    columns = {path.stem: errors(path, given.target, given.rows) for path in given.tables}
    frame = pd.DataFrame(columns).rename_axis(["penalty", "width", "tube"])
    frame = frame / frame.min()
    frame["mean"] = frame.mean(axis=1)
    print(frame.sort_values("mean").round(3).to_string())


if __name__ == "__main__":
    main()
