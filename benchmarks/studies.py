"""What a study costs beside the training of its runs.

    python benchmarks/studies.py FOLDER [--runs 1000] [--workers 1] [--executor local]

Trains many tiny models on the shipped crystals (one epoch of 32 of them, network of width 8) into
FOLDER and prints, per run: the wall time of the study times its workers; what of it the runs
themselves took (reading, splitting, training, scoring, writing the run folder); what of that was
training and validation; and the processor time of all processes together, which does not depend on
what else the machine does. Then the time of ``epitaxy study status``, with the start of the
program, and of `study_results`.
"""

from __future__ import annotations

import argparse
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path

import yaml

from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.results import study_results
from epitaxy.studies.run import run_study
from epitaxy.studies.status import study_status


def study(runs: int) -> dict[str, object]:
    """Return a study of so many runs."""
    base = {
        "verb": "train",
        "data": "demo:semiconductors",
        "target": "gap",
        "split": "random:0",
        "subset": {"size": 32},
        "encoder": {"width": 8, "layers": 2},
        "epochs": 1,
    }
    axes = {"seed": list(range(runs // 2)), "loss": ["l1", "mse"]}
    compare = {"over": "seed", "baseline": {"loss": "l1"}}
    return {"name": "tiny runs", "base": base, "axes": axes, "compare": compare}


def processor_seconds() -> float:
    """Return what this process and those that it started have used."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--executor", default="local")
    options = parser.parse_args()
    logging.disable()
    options.folder.mkdir(parents=True, exist_ok=True)
    file, out = options.folder / "study.yaml", options.folder / "out"
    file.write_text(yaml.safe_dump(study(options.runs)))
    began = time.perf_counter()
    done = run_study(file, out, workers=options.workers, executor=options.executor)
    wall = (time.perf_counter() - began) * options.workers / done.finished
    processor = processor_seconds() / done.finished
    events = [e for e in StudyFolder(out).events() if e["event"] == "finished"]
    inside = sum(e["seconds"] for e in events) / len(events)
    began = time.perf_counter()
    results = study_results(out)
    collected = time.perf_counter() - began
    trained = results["seconds"].mean()
    print(f"{done.finished} runs: {wall:.3f} s a run, of which {inside:.3f} s the run itself,")
    print(f"of which {trained:.3f} s training; processor time {processor:.3f} s a run.")
    print(f"Overhead: {wall - inside:.3f} s, with reading and writing {wall - trained:.3f} s.")
    print(f"study_results: {collected:.2f} s.")
    began = time.perf_counter()
    study_status(out)
    inner = time.perf_counter() - began
    began = time.perf_counter()
    command = [sys.executable, "-m", "epitaxy", "study", "status", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    print(f"study status: {inner:.2f} s, {time.perf_counter() - began:.2f} s with its start.")


if __name__ == "__main__":
    main()
