"""Single task, pair-wise transfer and mixture of Chang, Wang and Ertekin (2022), Tables 3 and 4.

    python scripts/reproduce_chang2022.py DATASETS EXTRACTORS --runs RUNS --out results.csv

DATASETS is a folder with the Parquet tables and split files of the paper's tasks, EXTRACTORS one with the 18 published
checkpoints (of which transfer takes that of formation energies, mp_eform). Hyperparameters are those of the authors'
code (recipe "published"): single task with SGD 0.02 and momentum 0.9, transfer and mixture with Adam 0.01 (head, gate)
and 0.005 (last convolutions), cosine schedules over 1000 epochs, batch 250, patience 500, best validation epoch.
``--compat chang2022`` also repeats what is accidental in their code. ``--methods mixture-4 mixture-concat-3`` are other
numbers of experts that count and other aggregations. Finished runs are not repeated, interrupted ones continue.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.importing import import_checkpoint
from epitaxy.recipes.mixture import mixture
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.results.history import read_history

Numbers = tuple[float, float]
"""Five-seed mean and standard deviation of the test MAE."""
UNITS = {
    "mp_phonons": "ln(1/cm)",
    "piezoelectric_tensor": "ln(1+C/m2)",
    "jarvis_2d_gap_opt": "eV",
    "jarvis_2d_gap_tbmbj": "eV",
}
"""Of the others, which have none, it is 1."""
PUBLISHED: dict[str, dict[str, Numbers]] = {
    "mp_phonons": {"single": (0.126, 0.014), "transfer": (0.110, 0.010), "mixture": (0.115, 0.017)},
    "piezoelectric_tensor": {
        "single": (0.228, 0.033),
        "transfer": (0.294, 0.097),
        "mixture": (0.208, 0.029),
        "mixture-2": (0.223, 0.019),
        "mixture-4": (0.216, 0.021),
        "mixture-6": (0.214, 0.034),
        "mixture-10": (0.214, 0.033),
        "mixture-concat-3": (0.262, 0.049),
        "mixture-ensemble-3": (0.222, 0.027),
        "mixture-add-3": (0.227, 0.040),
    },
    "jarvis_2d_gap_opt": {
        "single": (0.693, 0.148),
        "transfer": (0.698, 0.198),
        "mixture": (0.530, 0.101),
    },
    "jarvis_2d_gap_tbmbj": {
        "single": (1.31, 0.29),
        "transfer": (1.77, 0.38),
        "mixture": (1.19, 0.26),
    },
    "mp_eps_electronic": {
        "single": (0.170, 0.039),
        "transfer": (0.163, 0.032),
        "mixture": (0.161, 0.035),
    },
    "mp_poisson_ratio": {
        "single": (0.0325, 0.0003),
        "transfer": (0.0314, 0.0015),
        "mixture": (0.0293, 0.0020),
    },
    "mp_poly_electronic": {
        "single": (2.94, 0.89),
        "transfer": (3.05, 0.72),
        "mixture": (2.58, 0.84),
    },
    "mp_poly_total": {"single": (6.40, 1.54), "transfer": (6.58, 0.95), "mixture": (5.60, 1.51)},
    "jarvis_2d_dielectric_opt": {
        "single": (3.66, 0.44),
        "transfer": (3.76, 0.30),
        "mixture": (2.99, 0.53),
    },
    "jarvis_2d_dielectric_tbmbj": {
        "single": (10.7, 20.6),
        "transfer": (34.2, 41.6),
        "mixture": (40.8, 33.6),
    },
}
"""Tables 1, 3 and 4; a mixture is of all 18 extractors, ``mixture-K`` with K that count."""
UNKNOWN = (math.nan, math.nan)
COMPAT = "-compat"
"""Behind the method where the accidents of the authors' code are repeated."""
ORDER = [
    "mp_eform",
    "mp_bandgap",
    "mp_gvrh",
    "mp_kvrh",
    "weighted_n_e_cond",
    "weighted_p_e_cond",
    "weighted_n_th_cond",
    "weighted_p_th_cond",
    "p_Seebeck",
    "n_Seebeck",
    "n_avg_eff_mass",
    "p_avg_eff_mass",
    "castelli_eform",
    "jarvis_eform",
    "jarvis_dielectric_opt",
    "jarvis_bandgap",
    "jarvis_gvrh",
    "jarvis_kvrh",
]
THREE = {"piezoelectric_tensor": ("mp_eform", "mp_kvrh", "mp_bandgap")}
"""The three extractors that the authors chose where they compared aggregations."""


def run(arguments: argparse.Namespace, task: str, method: str, seed: int) -> Run:
    """Train one model, or open it when it is finished."""
    data = arguments.datasets / f"{task}.parquet"
    out = arguments.runs / f"{task}-{method}-{seed}{COMPAT if arguments.compat else ''}"
    common: dict[str, Any] = {
        "split": f"{arguments.datasets / task}.splits.json:seed{seed}",
        "unit": UNITS.get(task, ""),
        "recipe": "published",
        "seed": seed,
    }
    if method.startswith("mixture"):
        names, given = mixed(task, method)
        experts = [arguments.runs / name for name in names]
        common |= {"compat": arguments.compat, **given}
        return mixture(data, "target", experts, out, **common)
    if arguments.compat:
        common |= {"scaling": "zero-filled"}
    if method == "single":
        return train(data, "target", out, **common)
    if arguments.compat:
        common |= {"published_batchnorm": True}
    source = arguments.runs / "mp_eform"
    return finetune(data, "target", source, out, strategy="last-conv", **common)


def mixed(task: str, method: str) -> tuple[list[str], dict[str, Any]]:
    """Return the experts and settings of ``mixture``, ``mixture-K`` or ``mixture-HOW-3``."""
    _, *rest = method.split("-")
    if len(rest) == 2:
        return list(THREE.get(task, ORDER[:3])), {"aggregation": rest[0]}
    return list(ORDER), {"k": int(rest[0])} if rest else {}


def best_experts(found: Run, method: str) -> str:
    """Return the four experts that count most, the first first."""
    if not method.startswith("mixture"):
        return ""
    weights = found.model.encoder.gate_weights()
    return " ".join(sorted(weights, key=weights.get, reverse=True)[:4])


def record(task: str, method: str, seed: int, found: Run, seconds: float) -> dict[str, Any]:
    """Return the row of one run."""
    history = read_history(found.folder / "history.csv")
    best = history["val_mae"].idxmin()
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "best_experts": best_experts(found, method),
        "unit": UNITS.get(task, "1"),
        "test_mae": found.mae("test"),
        "val_mae": found.mae("val"),
        "best_epoch": int(history["epoch"][best]),
        "epochs": len(history),
        "training_seconds": round(float(history["seconds"].sum()), 1),
        "wall_seconds": round(seconds, 1),
    }


def summary(rows: pd.DataFrame) -> str:
    """Return means and sample standard deviations over seeds beside the published ones."""
    lines = [
        "| task | method | seeds | test MAE | published | unit | within or better |",
        "|---|---|---|---|---|---|---|",
    ]
    for (task, method), group in rows.groupby(["task", "method"], sort=False):
        mean, std = PUBLISHED[str(task)].get(str(method).removesuffix(COMPAT), UNKNOWN)
        ours, unit = group["test_mae"].mean(), group["unit"].iloc[0]
        known = not math.isnan(mean)
        published = f"{mean:.3f} ± {std:.3f}" if known else "-"
        verdict = ("yes" if ours <= mean + std else "no") if known else "-"
        lines.append(
            f"| {task} | {method} | {len(group)} | {ours:.3f} ± {group['test_mae'].std():.3f} | "
            f"{published} | {unit} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("extractors", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/chang2022"))
    parser.add_argument("--out", type=Path, default=Path("chang2022.csv"))
    parser.add_argument("--tasks", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--methods", nargs="+", default=["single", "transfer", "mixture"])
    parser.add_argument("--compat", choices=["", "chang2022"], default="")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    for name in ORDER:
        if not (arguments.runs / name / "model.safetensors").exists():
            import_checkpoint(arguments.extractors / f"{name}.pth.tar", arguments.runs / name)
    rows = []
    for task in arguments.tasks:
        for method in arguments.methods:
            for seed in arguments.seeds:
                began = time.monotonic()
                found = run(arguments, task, method, seed)
                name = f"{method}{COMPAT}" if arguments.compat else method
                rows.append(record(task, name, seed, found, time.monotonic() - began))
                pd.DataFrame(rows).to_csv(arguments.out, index=False)
                print(rows[-1], flush=True)
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
