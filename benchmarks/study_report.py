"""Seconds that the report of a study takes: `python benchmarks/study_report.py`.

The runs are made up, but their folders are like real ones.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from epitaxy.studies.config import Compare, Study
from epitaxy.studies.expanding import Plan, PlannedRun
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.report import study_report
from epitaxy.studies.status import study_status

AXES = {
    "source": ["scratch", "gap", "energy", "modulus", "phonons"],
    "strategy": ["full", "head", "last-conv", "layer-decay"],
    "size": [10, 50, 100, 500, 1000],
}
HISTORY = "epoch,train_loss,train_mae,val_loss,val_mae,learning_rate,seconds\n1,1,1,1,1,0.001,0.1\n"


def make(root: Path, trials: int) -> int:
    """Write a study with all its runs; return their number."""
    random = np.random.default_rng(0)
    runs, cells = {}, []
    axes = {**AXES, "trial": list(range(trials))}
    for number, values in enumerate(itertools.product(*axes.values())):
        labels = dict(zip(axes, values, strict=True))
        identity = f"{number:016x}"
        runs[identity] = PlannedRun(id=identity, verb="train", arguments={}, needs=(), source="")
        cells.append((identity, labels))
        folder = root / "runs" / identity
        folder.mkdir(parents=True)
        gain = 1 - 0.1 * AXES["source"].index(labels["source"])
        mae = gain * labels["size"] ** -0.25 * random.normal(1, 0.05)
        found = {"mae": mae, "rmse": 1.3 * mae, "r2": 1 - mae, "n": 100, "unit": "eV"}
        (folder / "metrics.json").write_text(json.dumps({"test": {"gap": found}}))
        (folder / "history.csv").write_text(HISTORY)
    compare = Compare(over="trial", baseline={"source": "scratch"})
    study = Study(name="many", base={"verb": "train"}, axes=axes, compare=compare)
    StudyFolder(root).write(study, Plan(runs, tuple(cells)), "name: many\n")
    return len(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10, help="runs are 100 times as many")
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "study"
        root.mkdir()
        n = make(root, trials)
        start = time.perf_counter()
        study_status(root)
        status = time.perf_counter() - start
        start, used = time.perf_counter(), time.process_time()
        study_report(root)
        report, used = time.perf_counter() - start, time.process_time() - used
        size = (root / "report.html").stat().st_size / 1e6
        figures = len(list((root / "figures").glob("*.png")))
    print(
        f"{n} runs: status {status:.2f} s, report {report:.1f} s ({used:.1f} s of a core), "
        f"{figures} figures, {size:.1f} MB"
    )


if __name__ == "__main__":
    main()
