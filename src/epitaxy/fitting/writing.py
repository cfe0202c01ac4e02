"""What `fit` writes into its run folder beside the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.files import atomic_file, write_json, write_text
from epitaxy.evaluation.calibration import COVERAGE
from epitaxy.fitting.bundling import write_bundle
from epitaxy.fitting.card import card
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.leaks import of_new_compositions
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import Nested, mean_errors
from epitaxy.fitting.repeats import Repeat, merged
from epitaxy.fitting.score import score
from epitaxy.fitting.setting_up import Ready
from epitaxy.fitting.verdict import Verdict, judge
from epitaxy.recipes.data import write_dropped
from epitaxy.reports.run_report import write_run_report
from epitaxy.results.metrics import bounds_coverage, metrics
from epitaxy.results.predictions import write_predictions

SCORE, CANDIDATES, TUNING = "score.json", "candidates.csv", "tuning.json"


def write_fit(ready: Ready, repeats: Sequence[Repeat], folder: Path) -> None:
    """Write models, predictions, errors, card and report."""
    problem, outcome = ready.problem, merged(repeats)
    verdict = judge(problem, outcome)
    frame = write_bundle(repeats, verdict.handed, folder)
    write_predictions(frame, folder / "predictions.parquet")
    write_json(folder / "metrics.json", metrics(frame))
    used = [problem.sources[p.name] for p in sorted((folder / "sources").glob("*"))]
    found = _score(problem, verdict, frame, used) | {
        "repeats": len(repeats),
        "tuned": bool(outcome.tuned),
        "repeat_maes": repeat_errors(repeats, plain=verdict.hands_over_plain),
        "stopped_early": any(repeat.runner.is_stopped for repeat in repeats),
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
    return [float(np.abs(values - p.labels)[p.scored].mean()) for values, p in pairs]


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


def constant_error(problem: Problem) -> float:
    """Return the outer error of the median of the other rows."""
    labels, errors = problem.labels, []
    for outer in range(FOLDS):
        median = np.median(labels[problem.inside((outer,))])
        errors.append(np.abs(labels[problem.outside((outer,))] - median))
    return float(np.concatenate(errors).mean())


def _score(
    problem: Problem,
    verdict: Verdict,
    frame: pd.DataFrame,
    used: Sequence[str],
) -> dict[str, Any]:
    errors = (frame["y_pred"] - frame["y_true"]).abs().to_numpy()
    formulas = problem.scored_formulas
    found = score(errors, problem.scored_groups, FOLDS)
    covered = bounds_coverage(frame, "test")
    assert covered is not None
    return {
        "mae": found.mae,
        "mae_interval": list(found.interval),
        "n": len(errors),
        "unit": problem.spec.unit,
        "constant_mae": constant_error(problem),
        "coverage": covered[0],
        "aimed_coverage": COVERAGE,
        "transfer": verdict.sentence,
        "transfer_used_in": verdict.used_in,
        "new_compositions": of_new_compositions(errors, formulas, used, FOLDS),
    }
