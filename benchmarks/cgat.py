"""Training throughput of CGAT against the authors' code in the same run.

    python benchmarks/cgat.py --data TABLE.parquet --authors CHECKOUT [--python PYTHON]

TABLE has the columns lattice, atomic_numbers, frac_coords and a target. CHECKOUT is a copy of
hyllios/CGAT (commit 0a5d340 was used). PYTHON runs it and needs ase, torch and torch_geometric;
where torch_scatter or torchvision are not there, stand-ins take the place of the sums and maxima
over a few rows and the one import that the code needs of them.

All contenders have the paper's widths: atoms 128, bonds 512 (``--bonds 128``: what the code makes
of it), six heads, five steps, vector attention, seven output layers, and the same 24 neighbours:

authors: `CGAtNet` and `CompositionData` with their defaults otherwise.
ours: the recipe ``released``, which is the same network less what never gets a gradient.
ours, merged: the same with the owner of a list as receiver, as in the paper's equations, so that
    equivalent atoms are computed once.

A step is forward pass, L1 loss, backward pass and AdamW; what a contender's own loader does to turn
stored graphs into shuffled batches is included. Building graphs is not. They take turns, one
process each; on a machine that does other work, too, compare crystals per processor second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from contender import Contender
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import build_graphs
from epitaxy.structures.reading import read_table

HERE = Path(__file__).parent.resolve()
CONTENDERS = ("authors", "ours", "ours, merged")


def write_crystals(options: argparse.Namespace, path: Path) -> None:
    """Write some crystals of the table with their neighbours for the workers."""
    table = read_table(options.data, target=options.target)
    rng = np.random.default_rng(0)
    table = table.select(rng.permutation(len(table))[: options.crystals])
    recipe = GraphRecipe(rule="cgat", neighbours=24, cutoff=18.0, merge_tolerance=0.0)
    store = build_graphs(table, recipe, workers=1, progress=False)
    rows = store.subset(table.ids).rows
    table = table.select(table.rows_of(store.ids[rows]))
    graphs = store.gather(rows)
    assert graphs.bond_rank is not None
    values = table.values[options.target]
    first = np.repeat(table.offsets[:-1], table.n_atoms)
    np.savez(
        path,
        lattices=table.lattices,
        counts=table.n_atoms,
        numbers=table.atomic_numbers,
        coordinates=table.frac_coords,
        targets=(values - values.mean()) / values.std(),
        listed=graphs.bond_dst.reshape(-1, 24) - first[:, None],
        ranks=graphs.bond_rank.reshape(-1, 24),
    )


def start(name: str, options: argparse.Namespace, folder: Path) -> Contender:
    """Start the process of a contender."""
    crystals = str(folder / "crystals.npz")
    if name == "authors":
        command = [str(options.python.absolute()), str(HERE / "cgat_parts" / "official.py")]
        command += [crystals, "--authors", str(options.authors.resolve())]
    else:
        command = [sys.executable, str(HERE / "cgat_parts" / "ours.py"), crystals]
        command += ["--merged"] if name.endswith("merged") else []
    for key in ("batch", "threads", "bonds"):
        command += [f"--{key}", str(getattr(options, key))]
    paths = [str(HERE / "alignn_parts"), os.environ.get("PYTHONPATH", "")]
    path = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return Contender(command, folder / f"{name}.log", options.threads, path)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Return crystals per second of every round, by contender and clock, and sizes."""
    write_crystals(options, folder / "crystals.npz")
    workers = {name: start(name, options, folder) for name in options.only}
    found: dict[str, dict[str, Any]] = {name: {"wall": [], "processor": []} for name in workers}
    for name, worker in workers.items():
        worker.ask("graphs")
        found[name] |= worker.ask("counts")
    for number in range(options.rounds):
        for name, worker in workers.items():
            print(f"round {number + 1}: {name}", file=sys.stderr)
            answer = worker.ask("train")
            crystals = answer["crystals"]
            found[name]["wall"].append(crystals / (answer["loading"] + answer["computing"]))
            found[name]["processor"].append(crystals / answer["processor"])
            if number == 0:
                found[name]["peak"] = answer["peak"] - answer["imports"]
    for worker in workers.values():
        worker.close()
    return found


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print a table."""
    print("| | parameters, million | crystals per s | per processor s | ratio | memory, MiB |")
    print("|---|---|---|---|---|---|")
    first = next(iter(found.values()))
    for name, values in found.items():
        wall, processor = (statistics.median(values[key]) for key in ("wall", "processor"))
        ratio = processor / statistics.median(first["processor"])
        spread = f"{min(values['processor']):.3g} to {max(values['processor']):.3g}"
        print(
            f"| {name} | {values['parameters'] / 1e6:.1f} | {wall:.3g} | {processor:.3g} "
            f"({spread}) | {ratio:.2f} | {values['peak']:.0f} |"
        )


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--target", default="target")
    parser.add_argument("--authors", type=Path, required=True, help="checkout of hyllios/CGAT")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--crystals", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--bonds", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
