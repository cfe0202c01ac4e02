"""Train one of the shipped models and write its zoo folder.

    python scripts/pretrain_zoo.py DATASETS cgcnn-band-gap [--runs RUNS]

The part of the name before the first hyphen is the architecture.

DATASETS is a folder with the Parquet tables ``fe`` (PBE formation energy) and ``bg`` (PBE band gap) of
Devi, Butler and Sai Gautam (2024), which come from the Materials Project through matminer.
"""

from __future__ import annotations

import argparse
import logging
import platform
import shutil
import time
from pathlib import Path

import torch

from epitaxy.core.checksums import protect
from epitaxy.core.properties import PropertySpec
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

ZOO = Path(__file__).resolve().parents[1] / "src" / "epitaxy" / "zoo"
SOURCE = "Materials Project through matminer (Matbench), the subset of Devi et al. 2024"
CITATION = "Devi, Butler, Sai Gautam, npj Comput. Mater. 10, 300 (2024), and references there"


def computed(name: str, label: str, unit: str) -> PropertySpec:
    """Describe a PBE property of the Materials Project."""
    return PropertySpec(
        name=name, label=label, unit=unit, source=SOURCE, licence="CC BY 4.0", citation=CITATION
    )


ENERGY = ("fe", computed("formation_energy", "Formation energy (PBE)", "eV/atom"))
GAP = ("bg", computed("band_gap", "Band gap (PBE)", "eV"))
MODELS = {
    "cgat-formation-energy": ENERGY,
    "cgcnn-band-gap": GAP,
    "cgcnn-formation-energy": ENERGY,
}
TRAINING = {
    "epochs": 40,
    "batch_size": 64,
    "optimiser": "adamw",
    "schedule": "one-cycle",
    "loss": "l1",
    "seed": 0,
}
RATES = {"cgat": 1e-3, "cgcnn": 3e-3}
CARD = """# {name}

{label} ({unit}) from crystal structures: {model} with {parameters:,} parameters, trained by us.

| | |
|---|---|
| Data | {source}: {rows:,} crystals |
| Split | random, grouped by reduced formula, seed 0: {train:,} train, {val:,} validation, {test:,} test |
| Test error | MAE {mae:.4f} {unit} (95 % interval {low:.4f} to {high:.4f}); a constant would have {constant:.4f} {unit} |
| Graphs | rule `{rule}`, {neighbours} nearest neighbours and their complete shell within {cutoff:g} Å |
| Training | {epochs} epochs, AdamW, one-cycle schedule to {rate:g}, L1 loss, batch {batch}, weights of the best validation epoch |
| Time | {minutes:.0f} min, one thread of {machine} |
| Licence | weights MIT; data {licence} |
| Citation | {citation} |
| Made by | `python scripts/pretrain_zoo.py DATASETS {name}` |

Trained on computed (PBE) values, with their systematic errors: PBE gaps are smaller than measured ones. Meant as a starting
point for fine-tuning.
"""


def load(datasets: Path, file: str, spec: PropertySpec) -> StructureTable:
    """Read a table and give its target column the name and unit of ``spec``."""
    table = read_table(datasets / f"{file}.parquet", target="target")
    return table.with_property(spec, table.values["target"])


def write_card(name: str, spec: PropertySpec, run: Run, minutes: float) -> None:
    """Copy the model of a finished run into the zoo and describe it."""
    folder = ZOO / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("model.safetensors", "model.json", "learned.safetensors"):
        shutil.copy(run.folder / file, folder / file)
    protect(folder)
    frame = run.predictions
    recipe = run.model.recipe
    numbers = run.metrics["test"][spec.name]
    low, high = numbers["mae_interval"]
    counts = frame["split"].value_counts()
    text = CARD.format(
        name=name,
        model=run.model.architecture.upper(),
        parameters=sum(p.numel() for p in run.model.parameters()),
        label=spec.label,
        unit=spec.unit,
        source=spec.source,
        rows=len(frame),
        train=counts["train"],
        val=counts["val"],
        test=counts["test"],
        mae=run.mae("test"),
        low=low,
        high=high,
        constant=numbers["baseline_mae"],
        rule=recipe.rule,
        neighbours=recipe.neighbours,
        cutoff=recipe.cutoff,
        epochs=TRAINING["epochs"],
        rate=RATES[run.model.architecture],
        batch=TRAINING["batch_size"],
        minutes=minutes,
        machine=processor(),
        licence=spec.licence,
        citation=spec.citation,
    )
    (folder / "card.md").write_text(text, encoding="utf-8")


def processor() -> str:
    """Return the name of the processor as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("name", choices=sorted(MODELS))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    file, spec = MODELS[arguments.name]
    table = load(arguments.datasets, file, spec)
    began = time.monotonic()
    model = arguments.name.split("-")[0]
    run = train(
        table,
        spec.name,
        arguments.runs / arguments.name,
        model=model,
        split="random:0",
        training={**TRAINING, "learning_rate": RATES[model]},
    )
    write_card(arguments.name, spec, run, (time.monotonic() - began) / 60)
    print(f"{arguments.name}: test MAE {run.mae('test'):.4f} {spec.unit}")


if __name__ == "__main__":
    main()
