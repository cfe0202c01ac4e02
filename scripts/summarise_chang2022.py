"""Tables of docs/results/chang2022.md from the results of reproduce_chang2022.py.

    python scripts/summarise_chang2022.py results.csv [more.csv ...] [--out merged.csv]

Prints means over seeds beside the published ones, the differences between methods paired over seeds with 95 %
intervals (Student's t), and, per number of experts that count, the seconds of an epoch. Of a run that is in several
files the last counts; a method of a task is left out where it has one seed.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import pandas as pd

from epitaxy.results.statistics import paired_difference
from reproduce_chang2022 import COMPAT, PUBLISHED, summary

MAIN = ["single", "transfer", "mixture"]


def merged(files: list[Path]) -> pd.DataFrame:
    """Return the rows of all files in the order of the paper's tasks, methods and seeds."""
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    rows = rows.drop_duplicates(["task", "method", "seed"], keep="last").fillna(
        {"best_experts": ""}
    )
    places = {method: place for place, method in enumerate(MAIN)}
    order = pd.DataFrame(
        {
            "task": rows["task"].map(list(PUBLISHED).index),
            "main": rows["method"].map(lambda method: places.get(method, len(MAIN))),
            # mixture-2 before mixture-10
            "length": rows["method"].str.len(),
            "method": rows["method"],
            "seed": rows["seed"],
        }
    )
    sorted_rows: pd.DataFrame = rows.loc[order.sort_values(list(order)).index]
    return sorted_rows


def several(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out the methods of a task that have one seed."""
    return rows[rows.groupby(["task", "method"])["seed"].transform("count") > 1]


def baseline(method: str) -> str:
    """Return what a variant is compared with: the clean method, or the mixture of all."""
    return method.removesuffix(COMPAT) if method.endswith(COMPAT) else "mixture"


def differences(rows: pd.DataFrame) -> str:
    """Return later minus earlier method of each task, over the seeds that both have."""
    lines = ["| task | | seeds | difference | unit |", "|---|---|---|---|---|"]
    for task, group in rows.groupby("task", sort=False):
        of = {m: g.set_index("seed")["test_mae"] for m, g in group.groupby("method", sort=False)}
        pairs = list(combinations([method for method in MAIN if method in of], 2))
        pairs += [(base, m) for m in of if m not in MAIN and (base := baseline(m)) in of]
        for first, second in pairs:
            seeds = of[first].index.intersection(of[second].index)
            found = paired_difference(of[first][seeds], of[second][seeds]).difference
            if found.interval:
                reach = found.interval[1] - found.value
                lines.append(
                    f"| {task} | {second} minus {first} | {len(seeds)} | {found.value:+.3f} ± {reach:.3f} "
                    f"| {group['unit'].iloc[0]} |"
                )
    return "\n".join(lines)


def times(rows: pd.DataFrame) -> str:
    """Return the median seconds of an epoch of each method, median over seeds."""
    timed = rows.assign(epoch=rows["training_seconds"] / rows["epochs"])
    table = timed.pivot_table("epoch", "task", "method", aggfunc="median", sort=False)
    return str(table.round(3).to_string(na_rep="-"))


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="CSV file for the rows of all files together")
    arguments = parser.parse_args()
    rows = merged(arguments.files)
    if arguments.out:
        rows.to_csv(arguments.out, index=False)
    rows = several(rows)
    print(summary(rows), differences(rows), times(rows), sep="\n\n")


if __name__ == "__main__":
    main()
