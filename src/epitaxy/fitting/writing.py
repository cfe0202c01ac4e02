"""What `fit` writes into its run folder beside the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.files import atomic_file, write_json, write_text
from epitaxy.fitting.bundling import write_bundle
from epitaxy.fitting.card import card
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.known_groups import known_group_error
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import Nested, mean_errors
from epitaxy.fitting.repeats import Repeat, merged
from epitaxy.fitting.scoring import medians, scores
from epitaxy.fitting.setting_up import Ready
from epitaxy.fitting.verdict import judge
from epitaxy.recipes.data import write_dropped
from epitaxy.reports.run_report import write_run_report
from epitaxy.results.metrics import FILE, bounds_coverage, metrics
from epitaxy.results.predictions import write_predictions

SCORE, CANDIDATES, TUNING = "score.json", "candidates.csv", "tuning.json"


def write_fit(ready: Ready, repeats: Sequence[Repeat], folder: Path) -> None:
    """Write models, predictions, errors, card and report."""
    problem, outcome = ready.problem, merged(repeats)
    verdict = judge(problem, outcome)
    frame = write_bundle(repeats, verdict.handed, folder)
    write_predictions(frame, folder / "predictions.parquet")
    ids = problem.table.ids.astype(str).tolist()
    numbers = metrics(
        frame,
        groups=dict(zip(ids, problem.groups, strict=True)),
        n_folds=FOLDS,
        baseline=dict(zip(ids, medians(problem).tolist(), strict=True)),
    )
    write_json(folder / FILE, numbers)
    covered = bounds_coverage(frame, "test") or bounds_coverage(frame, "other")
    assert covered is not None
    told = numbers.get("test") or numbers["other"]
    found = scores(problem, outcome, verdict, told[problem.target]) | {
        "coverage": covered[0],
        "known_groups": known_group_error(repeats, verdict.handed),
        "repeats": len(repeats),
        "tuned": bool(outcome.tuned),
        "repeat_maes": repeat_errors(repeats, plain=verdict.hands_over_plain),
        "deadline": repeats[0].runner.pace.record(),
        "sources": list(ready.told),
        "groups": ready.grouping.sentence,
    }
    write_json(folder / SCORE, found)
    table = candidate_table(problem, outcome)
    with atomic_file(folder / CANDIDATES) as temporary:
        table.to_csv(temporary, index=False)
    if outcome.tuned:
        write_json(folder / TUNING, tuning_record(repeats))
    if ready.dropped:
        write_dropped(folder / "dropped.csv", ready.dropped)
    write_text(folder / "README.md", card(problem, folder, found, table, ready.dropped))
    write_run_report(folder)


def tuning_record(repeats: Sequence[Repeat]) -> list[dict[str, Any]]:
    """Return all searches for hyperparameters: what was tried, and what was best inside."""
    return [
        {"repeat": number, **found.content()}
        for number, repeat in enumerate(repeats)
        for found in repeat.outcome.tuned
    ]


def repeat_errors(repeats: Sequence[Repeat], *, plain: bool) -> list[float]:
    """Return the outer error of each repeat by itself, with the guard or without transfer."""
    found = [repeat.outcome.plain if plain else repeat.outcome.chosen for repeat in repeats]
    pairs = zip(found, (repeat.problem for repeat in repeats), strict=True)
    return [float(np.abs(values - p.labels)[p.told].mean()) for values, p in pairs]


def candidate_table(problem: Problem, outcome: Nested) -> pd.DataFrame:
    """Return the selection scores: candidate, stage, inner_mae, tried_in, chosen_in, unit.

    ``tried_in`` and ``chosen_in`` are numbers of outer folds. At the stage ``screening`` networks
    were trained for a short time and judged on fewer rows, so these are compared among themselves.
    """
    stages: dict[str, list[Mapping[str, float]]] = {
        "comparison": [fold.errors for fold in outcome.outer],
        "screening": [fold.screened for fold in outcome.outer],
    }
    rows = [
        {
            "candidate": name,
            "stage": stage,
            "inner_mae": error,
            "tried_in": sum(name in errors for errors in folds),
            "chosen_in": sum(name in fold.choice.chosen for fold in outcome.outer),
            "unit": problem.spec.unit,
        }
        for stage, folds in stages.items()
        for name, error in mean_errors(folds).items()
    ]
    return pd.DataFrame(rows).sort_values(["stage", "inner_mae", "candidate"], ignore_index=True)
