"""How often the 95 % interval of `epitaxy fit` holds the error of what it hands over.

Of a large table, many small training sets are drawn. One learner on the descriptor `composition`
stands for the choice, so that hundreds of draws take minutes; the error on all other compositions
of one model of all rows is the truth. The last column is the error of the mean of the models of the
folds over that of the one model.

    python benchmarks/fit_intervals.py TABLE.parquet --learner kernel --draws 300
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from epitaxy.evaluation.feature_blocks import feature_blocks
from epitaxy.fitting.candidates.shallow import fit_shallow
from epitaxy.fitting.folds import FOLDS, group_folds
from epitaxy.results.intervals import score
from epitaxy.structures.reading import read_table

MOST_ROWS = 3500
REPEATS = 3
FACTORS = (1.0, 1.26, 1.5)
"""No stretch, that of repeated cross-validation with 3 repeats, that of one repeat."""


def draw(
    features: np.ndarray,
    labels: np.ndarray,
    formulas: np.ndarray,
    *,
    learner: str,
    n: int,
    seed: int,
) -> dict[int, tuple[float, float, float, float, float]]:
    """Return repeats -> (told error, ends of its unstretched interval, true error, of means)."""
    order = np.random.default_rng(seed).permutation(len(labels))
    own, new = order[:n], order[n:]
    new = new[~np.isin(formulas[new], formulas[own])]
    x, y, groups = features[own], labels[own], formulas[own].tolist()
    held, ensemble = np.full((REPEATS, n), np.nan), []
    for repeat in range(REPEATS):
        folds = group_folds(groups, 1000 * seed + repeat)
        for fold in range(FOLDS):
            seen = folds != fold
            model = fit_shallow(
                {"x": x[seen]}, y[seen], blocks=["x"], learner=learner, transform="identity", seed=0
            )
            held[repeat, ~seen] = model({"x": x[~seen]})
            ensemble.append(model({"x": features[new]}))
    whole = fit_shallow({"x": x}, y, blocks=["x"], learner=learner, transform="identity", seed=0)
    true = float(np.abs(whole({"x": features[new]}) - labels[new]).mean())
    found = {}
    for repeats in (1, REPEATS):
        errors = np.abs(held[:repeats].mean(axis=0) - y)
        low, high = score(errors, groups).interval
        mean = np.mean(ensemble[: FOLDS * repeats], axis=0)
        of_mean = float(np.abs(mean - labels[new]).mean())
        found[repeats] = (float(errors.mean()), float(low), float(high), true, of_mean)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--target", default="target")
    parser.add_argument("--learner", default="kernel")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--draws", type=int, default=300)
    given = parser.parse_args()
    table = read_table(given.table, target=given.target)
    some = np.random.default_rng(0).permutation(len(table))[:MOST_ROWS]
    table = table.select(np.sort(some))
    with tempfile.TemporaryDirectory() as cache:
        blocks = feature_blocks(table, ("composition",), {}, cache=Path(cache))
    table, features = table.select(blocks.rows), blocks.values["composition"]
    labels, formulas = table.column(given.target), np.array(table.formulas)
    results = [
        draw(features, labels, formulas, learner=given.learner, n=given.rows, seed=seed)
        for seed in range(given.draws)
    ]
    print(
        "| repeats | factor | interval holds the true error | told over true | of means over it |"
    )
    print("|---|---|---|---|---|")
    for repeats in (1, REPEATS):
        told, low, high, true, of_mean = np.array([found[repeats] for found in results]).T
        for factor in FACTORS:
            ends = told + factor * (low - told), told + factor * (high - told)
            share = np.mean((ends[0] <= true) & (true <= ends[1]))
            print(
                f"| {repeats} | {factor} | {100 * share:.1f} % | {np.mean(told / true):.3f} | "
                f"{np.mean(of_mean / true):.3f} |"
            )


if __name__ == "__main__":
    main()
