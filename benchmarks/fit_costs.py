"""CPU seconds of the shallow learners of `epitaxy fit`, beside the formulas with which it plans.

python benchmarks/fit_costs.py mp_phonons.parquet
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from epitaxy.checkpoints.model_files import load_model
from epitaxy.evaluation.feature_blocks import feature_blocks
from epitaxy.fitting.learners import LEARNERS
from epitaxy.fitting.learners.costs import seconds
from epitaxy.structures.reading import read_table

SIZES = (100, 400, 1200)
WIDTHS = (100, 297)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--target", default="target")
    given = parser.parse_args()
    table = read_table(given.table, target=given.target)
    sources = {n: load_model(f"zoo:{n}") for n in ("cgcnn-band-gap", "cgcnn-formation-energy")}
    found = feature_blocks(table, ("composition", "geometry"), sources)
    features = np.hstack(list(found.values.values()))
    features = (features - features.mean(0)) / (features.std(0) + 1e-9)
    labels = table.values[given.target][found.rows]
    labels = (labels - labels.mean()) / labels.std()
    order = np.random.default_rng(0).permutation(len(labels))
    print("| learner | rows | features | fit (s) | formula (s) | predict 1,000 (s) |")
    print("|---|---|---|---|---|---|")
    for name in sorted(LEARNERS):
        for n in (size for size in SIZES if size <= len(labels)):
            for width in WIDTHS:
                part = features[order[:n], :width]
                began = time.process_time()
                learned = LEARNERS[name](part, labels[order[:n]], 0)
                fitted = time.process_time()
                learned(np.resize(features[:, :width], (1000, width)))
                ended = time.process_time()
                formula = seconds(name, n, width)
                print(
                    f"| {name} | {n} | {width} | {fitted - began:.2f} | {formula:.2f} | "
                    f"{ended - fitted:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
