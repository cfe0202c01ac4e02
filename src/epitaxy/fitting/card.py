"""The model card: what the model is, where it comes from, how good it is, for whom it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.checkpoints.model_files import load_model, model_folder
from epitaxy.core.elements import SYMBOLS
from epitaxy.evaluation.bundle import Bundle
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.pace import ended_by
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.scoring import error_lines
from epitaxy.reports.numbers import with_unit
from epitaxy.structures.table import Dropped

SHOWN = 12


def card(
    problem: Problem,
    folder: Path,
    score: Mapping[str, Any],
    candidates: pd.DataFrame,
    dropped: Sequence[Dropped],
) -> str:
    """Return the card of a bundle (Markdown)."""
    spec = problem.spec
    parts = [
        f"# {spec.label or spec.name}",
        "",
        f"Predicts {spec.axis} of crystals; written by `epitaxy fit`. Use: `epitaxy predict FOLDER",
        "STRUCTURES --out predictions.csv`.",
        "",
        *_errors(score),
        "",
        *_data(problem, dropped),
        "",
        *_protocol(score),
        "",
        *_members(folder),
        "",
        *_selection(candidates, spec.unit),
        "",
        *_sources(problem, folder, score),
        "",
        "## Versions",
        "",
        ", ".join(f"{n} {version(n)}" for n in ("epitaxy", "torch", "scikit-learn", "numpy")),
    ]
    return "\n".join(parts) + "\n"


def _errors(score: Mapping[str, Any]) -> list[str]:
    lines = ["## Error", ""]
    for told in error_lines(score):
        lines += [told, ""]
    lines += [
        "Every crystal was predicted by models that never used it: not for training, nor scaling,",
        "nor the choice of the model.",
        "",
        f"{100 * score['coverage']:.1f} % of the true values lie within the predicted intervals,",
        f"which aim at {100 * score['aimed_coverage']:.0f} %.",
    ]
    return [*lines, "", score["transfer"]] if score["transfer"] else lines


def _data(problem: Problem, dropped: Sequence[Dropped]) -> list[str]:
    labels, spec = problem.labels, problem.spec
    numbers = np.unique(problem.table.atomic_numbers).tolist()
    origin = [f"{k}: {v}" for k in ("source", "licence", "citation") if (v := getattr(spec, k))]
    lines = [
        "## Data",
        "",
        f"{len(labels)} crystals of {len(set(problem.table.formulas))} compositions;",
        f"{with_unit(float(labels.min()), spec.unit, 3)} to",
        f"{with_unit(float(labels.max()), spec.unit, 3)}, median",
        f"{with_unit(float(np.median(labels)), spec.unit, 3)}.",
        *origin,
        "",
        f"Elements ({len(numbers)}): {' '.join(SYMBOLS[z] for z in numbers)}. Crystals with other",
        "elements are flagged by `predict`.",
    ]
    reasons = Counter(d.reason for d in dropped)
    lines += [f"Left out: {n} ({reason})." for reason, n in reasons.most_common(SHOWN)]
    return lines


def _protocol(score: Mapping[str, Any]) -> list[str]:
    times = score["repeats"]
    repeated = f", drawn {times} times" if times > 1 else ""
    lines = [
        "## Protocol",
        "",
        f"{FOLDS} outer folds{repeated}; crystals of one group are in one fold.",
        score["groups"],
        "Inside each, candidates are compared on inner folds, the best few are blended, and",
        "transfer is taken only where it is better by more than chance. What was chosen is",
        "trained once more on all crystals and gives the values (of networks, those of the folds",
        "do); the models of the folds give the intervals.",
    ]
    if score["tuned"]:
        lines.append("Hyperparameters were sought inside each outer fold, see `tuning.json`.")
    return lines + ended_by(score["deadline"])


def _members(folder: Path) -> list[str]:
    shares: dict[str, float] = {}
    for member in Bundle.read(folder).header.whole:
        shares[member.name] = shares.get(member.name, 0.0) + member.weight
    lines = ["## Model", "", "| part | weight |", "|---|---|"]
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return lines + [f"| {name} | {share:.2f} |" for name, share in ranked]


def _selection(candidates: pd.DataFrame, unit: str) -> list[str]:
    lines = [
        "## Selection scores",
        "",
        "Errors on inner folds, by which was chosen. The lowest of many is too low by luck: these",
        "are not errors to expect. Screening is short and on fewer rows; its errors compare only",
        "with each other.",
        "",
        "| candidate | stage | inner MAE | outer folds that tried it | that took it |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['candidate']} | {row['stage']} | {with_unit(row['inner_mae'], unit, 3)} | "
        f"{row['tried_in']} | {row['chosen_in']} |"
        for row in candidates.to_dict("records")
    ]


def _sources(problem: Problem, folder: Path, score: Mapping[str, Any]) -> list[str]:
    """Say from which models is transferred, what they learned and under which licence."""
    used = sorted(path.name for path in (folder / "sources").glob("*"))
    lines = ["## Sources", ""]
    if not used:
        return [*lines, "No other model takes part.", *score["sources"]]
    for name in used:
        specs = load_model(model_folder(problem.sources[name])).specs.values()
        told = "; ".join(
            f"{s.axis}, {s.source or 'source not recorded'}, licence {s.licence or 'not recorded'}"
            for s in specs
        )
        lines.append(f"- `{name}`: {told}.")
    return [*lines, "", *score["sources"]]
