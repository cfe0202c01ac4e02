"""What tells the same property from a related one: pairs of tables, and noise on one of them.

    python benchmarks/relations.py DEVI CHANG

DEVI and CHANG are folders with the Parquet tables of Devi et al. (2024) and Chang et al. (2022).
Materials are compositions, values their medians.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from epitaxy.checkpoints.learned import composition_keys
from epitaxy.checkpoints.relations import COPIED, concordance, rank_correlation, relation
from epitaxy.structures.reading import read_table

logger = logging.getLogger("relations")
PAIRS = (
    *(("demo:semiconductors", "ebg"), ("jarvis_2d", "jarvis_2d_gap_opt"), ("mp_phonons", "ph")),
    *(("ebg", "bg"), ("jarvis_2d_gap_opt", "bg"), ("dc", "bg"), ("gv", "ph"), ("fe", "ph")),
    *(("mp_poisson_ratio", "gv"), ("pz", "dc"), ("fe", "bg"), ("mp_poly_total", "pz")),
    *(("gv", "fe"), ("ph", "ebg"), ("mp_eps_electronic", "ph"), ("pz", "fe")),
)
NOISY = ("fe", "bg", "ebg", "ph", "dc", "gv")
NOISE = (0.01, 0.02, 0.05)
HEADER = "labels | learned | shared | rank correlation | concordance | copies | relation"
Values = tuple[np.ndarray, np.ndarray]


def medians(keys: np.ndarray, values: np.ndarray) -> Values:
    """Return each key once, and the median of its values."""
    unique, group = np.unique(keys, return_inverse=True)
    order = np.argsort(group, kind="stable")
    parts = np.split(values[order], np.cumsum(np.bincount(group))[:-1])
    return unique, np.array([np.median(part) for part in parts])


def load(name: str, folders: list[Path]) -> Values:
    """Return keys and values of a table, by composition."""
    found = [f / f"{name}.parquet" for f in folders if (f / f"{name}.parquet").is_file()]
    table = read_table(found[0] if found else name)
    values = table.column("target" if found else "gap")
    known = np.isfinite(values)
    return medians(composition_keys(table.formulas)[known], values[known])


def line(name: str, other: str, labels: Values, learned: Values) -> str:
    """Return a row of the table."""
    shared, here, there = np.intersect1d(labels[0], learned[0], return_indices=True)
    y, x = labels[1][here], learned[1][there]
    both = (x != 0) & (y != 0)
    copies = float(np.mean(np.abs(x[both] / y[both] - 1) <= COPIED)) if both.any() else 0.0
    found = relation(*labels, *learned)
    return (
        f"{name} | {other} | {len(shared)} | {rank_correlation(x, y):.2f} | "
        f"{concordance(x, y)[0]:.2f} | {100 * copies:.0f} % | {found.name.lower()}"
    )


def main() -> None:
    """Print both tables."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("epitaxy").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    folders = parser.parse_args().folders
    tables = {name: load(name, folders) for name in {n for pair in PAIRS for n in pair} | {*NOISY}}
    logger.info("%s", HEADER)
    for name, other in PAIRS:
        logger.info("%s", line(name, other, tables[name], tables[other]))
    random = np.random.default_rng(0)
    for name in NOISY:
        keys, values = tables[name]
        for size in NOISE:
            noisy = keys, values * (1 + size * random.normal(size=len(values)))
            logger.info("%s", line(f"{name}, noise {size:g}", name, noisy, tables[name]))


if __name__ == "__main__":
    main()
