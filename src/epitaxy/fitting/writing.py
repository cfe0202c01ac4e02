"""What `fit` writes into its run folder beside the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from epitaxy.core.files import atomic_file, write_json, write_text
from epitaxy.evaluation.calibration import COVERAGE
from epitaxy.fitting.bundling import write_bundle
from epitaxy.fitting.card import card
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import Nested, mean_errors
from epitaxy.fitting.runner import Runner
from epitaxy.fitting.score import score
from epitaxy.fitting.setting_up import Ready
from epitaxy.fitting.verdict import Verdict, judge
from epitaxy.recipes.data import write_dropped
from epitaxy.reports.run_report import write_run_report
from epitaxy.results.metrics import bounds_coverage, metrics
from epitaxy.results.predictions import write_predictions

SCORE, CANDIDATES = "score.json", "candidates.csv"


def write_fit(ready: Ready, outcome: Nested, runner: Runner, folder: Path) -> None:
    """Write models, predictions, errors, card and report."""
    problem = ready.problem
    verdict = judge(problem, outcome)
    frame = write_bundle(problem, runner, outcome, verdict.handed, folder)
    write_predictions(frame, folder / "predictions.parquet")
    write_json(folder / "metrics.json", metrics(frame))
    found = _score(problem, outcome, verdict, frame) | {"stopped_early": runner.is_stopped}
    write_json(folder / SCORE, found)
    table = candidate_table(problem, outcome)
    with atomic_file(folder / CANDIDATES) as temporary:
        table.to_csv(temporary, index=False)
    if ready.dropped:
        write_dropped(folder / "dropped.csv", ready.dropped)
    write_text(folder / "README.md", card(problem, folder, found, table, ready.dropped))
    write_run_report(folder)


def candidate_table(problem: Problem, outcome: Nested) -> pd.DataFrame:
    """Return the selection scores: candidate, inner_mae, transfer, outer_folds (times chosen)."""
    rows = [
        {
            "candidate": name,
            "inner_mae": error,
            "chosen_in": sum(name in f.choice.chosen for f in outcome.outer),
            "unit": problem.spec.unit,
        }
        for name, error in mean_errors(outcome.outer).items()
    ]
    return pd.DataFrame(rows).sort_values(["inner_mae", "candidate"], ignore_index=True)


def _score(
    problem: Problem, outcome: Nested, verdict: Verdict, frame: pd.DataFrame
) -> dict[str, Any]:
    errors = (frame["y_pred"] - frame["y_true"]).abs().to_numpy()
    found = score(errors, problem.table.formulas, FOLDS)
    covered = bounds_coverage(frame, "test")
    assert covered is not None
    return {
        "mae": found.mae,
        "mae_interval": list(found.interval),
        "n": len(errors),
        "unit": problem.spec.unit,
        "constant_mae": mean_errors(outcome.outer)["constant"],
        "coverage": covered[0],
        "aimed_coverage": COVERAGE,
        "transfer": verdict.sentence,
        "transfer_used_in": verdict.used_in,
    }
