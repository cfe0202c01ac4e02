"""ALIGNN against the two official packages: speed, memory and the part of the machine's ceiling.

    python benchmarks/alignn.py --data TABLE.parquet [--out NUMBERS.csv] [--rounds 3]

TABLE has the columns lattice, atomic_numbers, frac_coords and a target. Of the official packages,
each with its own environment in the user's cache (made at the first call, several GB), these run:

alignn 2023.4.1 (torch 2.2.1, dgl 2.1.0): `ALIGNN` on nearest-neighbour graphs, canonical bonds.
alignn 2026.8.11 (torch 2.13.0): `ALIGNNAtomWisePure` as its recipe for scalar properties has it:
    exactly 12 neighbours, angles only between bonds of at most 3.5 Å, hence a third of the angles.
alignn 2026.8.11, all angles: the same network on the graphs of 2023.

All networks have 4 + 4 layers of width 256, one process each, the same crystals, batches and
threads, and take turns. Training is forward pass, L1 loss, backward pass and AdamW step; inference
is the forward pass without gradients. Both include what a package's own loader does to turn graphs
that are already built into shuffled batches, in the same process (2026: reading them from its LMDB
file), and for ours whatever is derived from a batch when it is first used. Neither includes
building graphs, which is timed apart, from structures in memory; the packages do that in one
process. Memory is the peak during training above what is in use after the imports.

On a machine that does other work, too, compare the best rounds or crystals per processor second;
when threads wait for each other, wall time says little. The part of the ceiling is reckoned from
the best rounds with the arithmetic of the network that is not merged, so merging can exceed 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from alignn_parts.ceiling import arithmetic, ceiling
from alignn_parts.environments import default_folder, environment
from contender import Contender

PARTS = Path(__file__).parent / "alignn_parts"
ALL_ANGLES = ("alignn 2023.4.1", "alignn 2026.8.11, all angles")
"""Official rows that compute what ours compute."""
OFFICIAL = {
    "alignn 2023.4.1": "2023",
    "alignn 2026.8.11": "2026",
    "alignn 2026.8.11, all angles": "2026-same",
}
OURS = {
    "ours, float32": [],
    "ours, bfloat16": ["--precision", "bf16"],
    "ours, float32, not merged": ["--unmerged"],
}
Measured = dict[str, dict[str, list[float]]]
"""Contender -> quantity -> one number per round."""


def write_crystals(options: argparse.Namespace, path: Path) -> None:
    """Write a random choice of the table for the workers."""
    columns = ["lattice", "atomic_numbers", "frac_coords", options.target]
    table = pq.read_table(options.data, columns=columns)
    size = min(options.crystals, table.num_rows)
    chosen = np.random.default_rng(0).choice(table.num_rows, size, replace=False)
    rows = table.take(chosen).to_pydict()
    numbers = [np.array(n, dtype=np.int64) for n in rows["atomic_numbers"]]
    targets = np.array(rows[options.target], dtype=np.float64)
    np.savez(
        path,
        lattices=np.array(rows["lattice"], dtype=np.float64).reshape(-1, 3, 3),
        counts=[len(n) for n in numbers],
        numbers=np.concatenate(numbers),
        coordinates=np.concatenate([np.reshape(c, (-1, 3)) for c in rows["frac_coords"]]),
        targets=(targets - targets.mean()) / targets.std(),
    )


def start(name: str, options: argparse.Namespace, folder: Path) -> Contender:
    """Start the process of a contender."""
    crystals = str(folder / "crystals.npz")
    if name in OFFICIAL:
        version = OFFICIAL[name]
        python = environment(version.partition("-")[0], options.cache, options.python)
        command = [str(python), str(PARTS / "official.py"), version, crystals]
        command += ["--folder", str(folder / version)]
    else:
        command = [sys.executable, str(PARTS / "ours.py"), crystals, *OURS[name]]
        command += ["--model", options.model]
        command += ["--rule", options.rule] if options.rule else []
    command += ["--batch", str(options.batch), "--threads", str(options.threads)]
    log = folder / f"{name}.log"
    return Contender(command, log, options.threads, {"DGLBACKEND": "pytorch"})


def measure(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Measured, dict[str, Any]]]:
    """Yield all numbers by contender and the sizes of the graphs per crystal, after each round."""
    write_crystals(options, folder / "crystals.npz")
    workers = {name: start(name, options, folder) for name in options.only}
    found: Measured = {name: {} for name in ["ceiling", *workers]}

    def keep(name: str, **values: float) -> None:
        for quantity, value in values.items():
            found[name].setdefault(quantity, []).append(value)

    sizes = {}
    for number in range(options.rounds):
        keep("ceiling", **ceiling(options.threads))
        for name, worker in workers.items():
            print(f"round {number + 1}: {name}", file=sys.stderr)
            for processes, rate in worker.ask("graphs").items():
                keep(name, **{f"graphs {processes}": rate})
            for task in ("train", "infer"):
                answer = worker.ask(task)
                crystals = answer["crystals"]
                keep(name, **{task: crystals / (answer["loading"] + answer["computing"])})
                keep(name, **{f"{task} processor": crystals / answer["processor"]})
                keep(name, **{f"{task} loading": 1e3 * answer["loading"] / crystals})
                if task == "train" and number == 0:
                    keep(name, imports=answer["imports"], peak=answer["peak"] - answer["imports"])
            if number == 0:
                sizes[name] = {k: v / crystals for k, v in worker.ask("counts").items()}
        yield found, sizes
    for worker in workers.values():
        worker.close()


def add_ceiling(found: Measured, sizes: dict[str, Any]) -> None:
    """Add GFLOP/s of the network that is not merged and their part of the ceiling, best rounds."""
    for name, values in found.items():
        if "angles" not in sizes.get(name, {}):
            continue
        kind = "bfloat16" if "bfloat16" in name else "float32"
        for task, work in arithmetic(sizes[name]).items():
            reached = work * max(values[task])
            values[f"{task} GFLOP/s"] = [reached]
            values[f"{task} of ceiling"] = [reached / max(found["ceiling"][kind])]


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def spread(values: list[float] | None) -> str:
    """Median and, of several, the extremes."""
    if not values:
        return ""
    middle = f"{statistics.median(values):.4g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.4g} to {max(values):.4g})"


def ratio(found: Measured, name: str, quantity: str, among: list[str]) -> float | None:
    """Return the median over the best median of the official packages ``among``."""
    best = [statistics.median(found[n][quantity]) for n in among if quantity in found.get(n, {})]
    if not best or quantity not in found[name]:
        return None
    reference = min(best) if quantity == "peak" else max(best)
    return statistics.median(found[name][quantity]) / reference


COLUMNS = {
    "train": "training, crystals/s",
    "train processor": "per processor s",
    "infer": "inference, crystals/s",
    "infer processor": "per processor s",
    "train loading": "loader, ms per crystal",
    "peak": "memory of training, MiB",
    "imports": "of imports, MiB",
    "graphs 1": "graphs, crystals/s, one process",
    "graphs 2": "two processes",
    "train of ceiling": "of the ceiling, training",
    "infer of ceiling": "inference",
}
COMPARED = ("train", "infer", "peak", "graphs 1")
"""Quantities with ratios to the official packages."""


def show(found: Measured, sizes: dict[str, Any]) -> None:
    """Print one table per group of quantities."""
    top = found["ceiling"]
    print(f"matrix products: float32 {spread(top['float32'])}, bfloat16 {spread(top['bfloat16'])}")
    print(f"GFLOP/s; copying {spread(top['copy'])} GB/s, read and written\n")
    print(line(["not merged, per crystal", "atoms", "bonds", "angles"]))
    print("|---|---|---|---|")
    for name, size in sizes.items():
        print(line([name, *(f"{size.get(k, 0):.1f}" for k in ("atoms", "bonds", "angles"))]))
    groups = [["train", "train processor"], ["infer", "infer processor"]]
    groups += [["peak", "imports"], ["graphs 1", "graphs 2", "train loading"]]
    groups.append(["train of ceiling", "infer of ceiling"])
    for group in groups:
        ratios = ["ratio, all angles", "ratio, any"] if group[0] in COMPARED else []
        print("\n" + line(["", *(COLUMNS[q] for q in group), *ratios]))
        print("|---" * (1 + len(group) + len(ratios)) + "|")
        for name in sizes:
            cells = [name, *(spread(found[name].get(quantity)) for quantity in group)]
            for among in [list(ALL_ANGLES), list(OFFICIAL)][: len(ratios)]:
                times = ratio(found, name, group[0], among)
                cells.append("" if times is None else f"{times:.2f}")
            print(line(cells))


def write(found: Measured, sizes: dict[str, Any], path: Path) -> None:
    """Write one row per contender and quantity."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        head = "contender,quantity,median,minimum,maximum,rounds,ratio_all_angles,ratio_any"
        out.writerow(head.split(","))
        for name, values in found.items():
            for quantity, size in sizes.get(name, {}).items():
                out.writerow([name, f"{quantity} per crystal", *[f"{size:.6g}"] * 3, 1, "", ""])
            for quantity, numbers in values.items():
                row = [statistics.median(numbers), min(numbers), max(numbers)]
                times = [None, None]
                if quantity in COMPARED:
                    times = [ratio(found, name, quantity, list(m)) for m in (ALL_ANGLES, OFFICIAL)]
                cells = ["" if t is None else f"{t:.4g}" for t in times]
                out.writerow([name, quantity, *(f"{n:.6g}" for n in row), len(numbers), *cells])


def main() -> None:
    """Parse the command line, measure and print."""
    names = [*OFFICIAL, *OURS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--target", default="target")
    parser.add_argument("--crystals", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="alignn", help="our encoder")
    parser.add_argument("--rule", help="rule of our graphs, if not the model's own")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, help="CSV file")
    parser.add_argument("--cache", type=Path, default=default_folder(), help="environments")
    parser.add_argument("--python", default="python3.11", help="interpreter of the environments")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for found, sizes in measure(options, Path(folder)):
            add_ceiling(found, sizes)
            if options.out:  # now, because a long run may be broken off
                write(found, sizes, options.out)
    print(f"load of the machine before {load:.1f}, at the end {os.getloadavg()[0]:.1f}")
    show(found, sizes)


if __name__ == "__main__":
    main()
