"""Is the error that `fit` tells the error on new crystals? Twenty data sets, a third of each held back.

    python scripts/fit_honesty.py DEVI CHANG --runs RUNS --out honesty.csv

DEVI and CHANG are folders with the Parquet tables of Devi et al. (2024) and Chang et al. (2022). Of each table up to
``--rows`` crystals are drawn (of two tables twice, others each time). A third of the compositions is held back; the
rest goes through `fit`. Written are the error that it tells, the 95 % interval of the mean error on so many new
crystals, the error on the held-back third, and the coverage of the 90 % intervals there.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epitaxy.fitting.fit import Fitted, fit
from epitaxy.fitting.folds import FOLDS
from epitaxy.recipes.predict import predict
from epitaxy.results.intervals import interval_of_new_rows
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("fit_honesty")
DEVI = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg", "jarvis_2d")
CHANG = (
    *("mp_phonons", "piezoelectric_tensor", "mp_poisson_ratio", "mp_eps_electronic"),
    *("mp_poly_electronic", "mp_poly_total", "jarvis_2d_gap_opt", "jarvis_2d_gap_tbmbj"),
    *("jarvis_2d_dielectric_opt", "jarvis_2d_dielectric_tbmbj"),
)
TWICE = ("gv", "fe")


class Cut(NamedTuple):
    """A data set cut from a table."""

    name: str
    file: Path
    seed: int


def cuts(devi: Path, chang: Path) -> list[Cut]:
    """Return the twenty data sets, the small ones first."""
    found = [Cut(name, chang / f"{name}.parquet", 0) for name in reversed(CHANG)]
    found += [Cut(name, devi / f"{name}.parquet", 0) for name in DEVI]
    return found + [Cut(f"{name}-again", devi / f"{name}.parquet", 1) for name in TWICE]


def divided(cut: Cut, rows: int) -> tuple[StructureTable, StructureTable]:
    """Return rows to fit, and the third of the compositions that is held back."""
    table = read_table(cut.file, target="target")
    random = np.random.default_rng(cut.seed)
    chosen = np.sort(random.permutation(len(table))[:rows])
    mask = np.zeros(len(table), dtype=bool)
    mask[chosen] = True
    table = table.select(mask)
    names = sorted(set(table.formulas))
    kept = set(random.permutation(names)[: 2 * len(names) // 3].tolist())
    inside = np.array([formula in kept for formula in table.formulas])
    return table.select(inside), table.select(~inside)


def compared(cut: Cut, found: Fitted, held: StructureTable) -> dict[str, Any]:
    """Return what was told beside what is so."""
    outer = found.predictions
    errors = (outer["y_pred"] - outer["y_true"]).abs().to_numpy()
    table = read_table(cut.file, target="target")
    formulas = dict(zip([str(i) for i in table.ids], table.formulas, strict=True))
    groups = [formulas[i] for i in outer["id"]]
    new = predict(found.folder, held).set_index("id")
    truth = pd.Series(held.values["target"], index=[str(i) for i in held.ids])[new.index]
    error = float((new["y_pred"] - truth).abs().mean())
    low, high = interval_of_new_rows(errors, groups, FOLDS, len(new))
    inside = (new["y_lower"] <= truth) & (truth <= new["y_upper"])
    return {
        "data": cut.name,
        "rows": len(outer),
        "held": len(new),
        "told": found.mae,
        "low": low,
        "high": high,
        "so": error,
        "within": low <= error <= high,
        "coverage": float(inside.mean()),
        "constant": found.score["constant_mae"],
    }


def main() -> None:
    """Fit what is missing, write and print the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("epitaxy").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("devi", type=Path)
    parser.add_argument("chang", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=450)
    parser.add_argument("--budget", default="2m")
    parser.add_argument("--candidates", default="all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for cut in cuts(options.devi, options.chang):
        began = time.monotonic()
        data, held = divided(cut, options.rows)
        found = fit(
            data,
            "target",
            options.runs / cut.name,
            budget=options.budget,
            candidates=options.candidates,
            threads=options.threads,
        )
        rows.append(compared(cut, found, held) | {"seconds": round(time.monotonic() - began)})
        logger.info("%s", rows[-1])
        if options.out:
            pd.DataFrame(rows).to_csv(options.out, index=False)
    frame = pd.DataFrame(rows)
    logger.info(
        "within: %d of %d; coverage %.3f; told over so: %.3f (geometric mean)",
        frame["within"].sum(),
        len(frame),
        frame["coverage"].mean(),
        np.exp(np.log(frame["told"] / frame["so"]).mean()),
    )


if __name__ == "__main__":
    main()
