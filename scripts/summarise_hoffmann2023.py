"""Tables of docs/results/hoffmann2023.md from the results of reproduce_hoffmann2023.py.

    python scripts/summarise_hoffmann2023.py results.csv [more.csv ...] [--out merged.csv]

Prints, per experiment and model, the test MAE of each strategy and number of target rows (mean and sample standard
deviation over seeds); the differences from no transfer and, where the scale of the source was kept, from the
refitted one, paired over seeds with 95 % intervals (Student's t). Smaller sources have a table of their own. Of a run that is in several files the last counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from epitaxy.results.statistics import mean_over_trials, paired_difference
from reproduce_hoffmann2023 import EXPERIMENTS, KEPT, MODELS, NONE, STRATEGIES

RUN = ["experiment", "model", "strategy", "target_size", "seed", "source_size"]


def merged(files: list[Path]) -> pd.DataFrame:
    """Return the rows of all files, ordered by experiment, model, strategy, size and seed."""
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    rows = rows.drop_duplicates(RUN, keep="last")
    for column, order in (
        ("experiment", list(EXPERIMENTS)),
        ("model", MODELS),
        ("strategy", STRATEGIES),
    ):
        rows[column] = pd.Categorical(rows[column], order)
    plain: pd.DataFrame = rows.sort_values(RUN).astype(dict.fromkeys(RUN[:3], str))
    return plain


def _table(title: str, cells: dict[str, dict[int, str]]) -> str:
    sizes = sorted({size for row in cells.values() for size in row})
    lines = [
        f"| {title} | " + " | ".join(f"{size:,} rows" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for name, row in cells.items():
        lines.append(f"| {name} | " + " | ".join(row.get(size, "") for size in sizes) + " |")
    return "\n".join(lines)


def errors(rows: pd.DataFrame) -> str:
    """Return mean ± standard deviation of each strategy at each number of target rows."""
    cells: dict[str, dict[int, str]] = {}
    for (strategy, size), group in rows.groupby(["strategy", "target_size"], sort=False):
        spread = f" ± {group['mae'].std():.3f}" if len(group) > 1 else ""
        cells.setdefault(strategy, {})[int(size)] = f"{group['mae'].mean():.3f}{spread}"
    return _table(f"test MAE, {rows['unit'].iloc[0]}", cells)


def against(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return which strategy is compared with which: transfers with none, kept with refitted."""
    present = [s for s in STRATEGIES if s in set(rows["strategy"])]
    transfers = [(s, NONE) for s in present if s != NONE and not s.endswith(KEPT)]
    kept = [(s, s.removesuffix(KEPT)) for s in present if s.endswith(KEPT)]
    return [pair for pair in transfers + kept if pair[1] in present]


def differences(rows: pd.DataFrame) -> str:
    """Return the paired differences of `against` at each number of target rows."""
    cells: dict[str, dict[int, str]] = {}
    for later, first in against(rows):
        for size, group in rows.groupby("target_size"):
            of = {s: g.set_index("seed")["mae"] for s, g in group.groupby("strategy")}
            if first not in of or later not in of:
                continue
            seeds = of[first].index.intersection(of[later].index)
            if len(seeds) > 1:
                found = paired_difference(of[first][seeds], of[later][seeds]).difference
                half = found.interval[1] - found.value if found.interval else float("nan")
                name = f"{later} minus {first}"
                cells.setdefault(name, {})[int(size)] = f"{found.value:+.3f} ± {half:.3f}"
    return _table(f"difference, {rows['unit'].iloc[0]}", cells)


def intervals(rows: pd.DataFrame) -> str:
    """Return mean and 95 % interval over seeds, for experiments of one size."""
    lines = ["| strategy | seeds | test MAE | 95 % | each seed |", "|---|---|---|---|---|"]
    for strategy, group in rows.groupby("strategy", sort=False):
        found = mean_over_trials(group["mae"])
        ends = "{:.3f} to {:.3f}".format(*found.interval) if found.interval else "unknown"
        each = ", ".join(f"{value:.3f}" for value in group["mae"])
        lines.append(f"| {strategy} | {found.n} | {found.value:.3f} | {ends} | {each} |")
    return "\n".join(lines)


def by_source(rows: pd.DataFrame) -> str:
    """Return `errors` with a line for each strategy and number of source rows."""
    sources = rows["source_size"].map("{:,} source rows".format)
    return errors(rows.assign(strategy=rows["strategy"] + ", " + sources))


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="CSV file for the rows of all files together")
    arguments = parser.parse_args()
    rows = merged(arguments.files)
    if arguments.out:
        rows.to_csv(arguments.out, index=False)
    for (experiment, model), found in rows.groupby(["experiment", "model"], sort=False):
        most = found.groupby("seed")["source_size"].transform("max")
        smaller = (found["source_size"] > 0) & (found["source_size"] < most)
        group = found[~smaller]
        one_size = len(set(group["target_size"])) == 1
        print(
            f"## {experiment}, {model}", intervals(group) if one_size else errors(group), sep="\n\n"
        )
        print("", differences(group), "", sep="\n")
        if smaller.any():
            print(by_source(found[smaller]), "", sep="\n")


if __name__ == "__main__":
    main()
