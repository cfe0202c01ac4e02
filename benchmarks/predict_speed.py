"""Prediction of 10,000 crystals of 8 atoms from a Parquet table: seconds and memory of the command.

    python benchmarks/predict_speed.py [--model zoo:cgcnn-band-gap] [--data FILE] [--crystals 10000]

Without FILE the crystals have random elements and positions (no symmetry, nothing to merge: the
worst case). With FILE its crystals of 8 atoms are taken as often as needed, each time with another
volume, so that no graph occurs twice. Memory is that of all processes of the command together.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

ATOMS = 8
VOLUME = 18.0
"""Å^3 per atom of random crystals."""
CLOSEST = 1.6
"""Å between atoms of random crystals."""


def random_crystals(n: int) -> StructureTable:
    """Return crystals without symmetry; atoms keep a distance."""
    rng = np.random.default_rng(0)
    lattices, coords = [], []
    while len(lattices) < n:
        lattice = np.diag(rng.uniform(0.8, 1.2, 3)) + rng.uniform(-0.15, 0.15, (3, 3))
        lattice *= (VOLUME * ATOMS / abs(np.linalg.det(lattice))) ** (1 / 3)
        points = (np.indices((2, 2, 2)).reshape(3, -1).T + rng.uniform(-0.18, 0.18, (8, 3))) / 2
        delta = points[:, None] - points
        delta -= np.round(delta)
        if (np.linalg.norm(delta @ lattice, axis=2) + 9 * np.eye(ATOMS)).min() > CLOSEST:
            lattices.append(lattice)
            coords.append(points)
    numbers = rng.integers(3, 84, (n, ATOMS))
    return StructureTable.from_arrays(
        ids=[f"c{i}" for i in range(n)],
        lattices=lattices,
        atomic_numbers=numbers,
        frac_coords=coords,
    )


def scaled_crystals(path: Path, n: int) -> StructureTable:
    """Return the crystals of 8 atoms of a table, again and again in other volumes."""
    table = read_table(path)
    found = np.flatnonzero(table.n_atoms == ATOMS)
    rows = np.resize(found, n)
    scales = 1 + 0.002 * (np.arange(n) // len(found))
    return StructureTable.from_arrays(
        ids=[f"{table.ids[row]}-{i}" for i, row in enumerate(rows)],
        lattices=table.lattices[rows] * scales[:, None, None],
        atomic_numbers=[
            table.atomic_numbers[table.offsets[r] : table.offsets[r + 1]] for r in rows
        ],
        frac_coords=[table.frac_coords[table.offsets[r] : table.offsets[r + 1]] for r in rows],
    )


def memory_of(pid: int) -> float:
    """Return MiB that a process and its children use; shared pages count once."""
    total = 0.0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8")
            tasks = Path(f"/proc/{one}/task").iterdir()
            for task in tasks:
                waiting += map(int, (task / "children").read_text(encoding="utf-8").split())
        except OSError:
            continue
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        total += int(pss.split()[1]) / 1024
    return total


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(command: list[str]) -> tuple[float, float, float]:
    """Return seconds, seconds of all processors, and the peak of the memory in MiB."""
    start, before = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(command)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"{command} failed")
    return time.perf_counter() - start, processor_seconds() - before, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="zoo:cgcnn-band-gap")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--crystals", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    made = random_crystals if options.data is None else lambda n: scaled_crystals(options.data, n)
    table = made(options.crystals)
    with tempfile.TemporaryDirectory() as folder:
        table.to_parquet(Path(folder) / "crystals.parquet")
        out = Path(folder) / "predictions.csv"
        for _ in range(options.rounds):
            command = [sys.executable, "-m", "epitaxy", "--quiet", "predict", options.model]
            command += [f"{folder}/crystals.parquet", "--out", str(out)]
            seconds, busy, peak = measure(command)
            n = len(pd.read_csv(out))
            print(
                f"{n} crystals: {seconds:.1f} s, {busy:.1f} s of processors, "
                f"{60 * n / seconds:,.0f} a minute, {peak:.0f} MiB"
            )


if __name__ == "__main__":
    main()
