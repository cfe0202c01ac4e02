"""What `fit` tells of its model: errors by what sources know of a crystal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from epitaxy.evaluation.calibration import COVERAGE
from epitaxy.fitting.folds import FEWEST_ROWS, FOLDS, KNOWN
from epitaxy.fitting.problem import ANY, EXPECTED, RELATED, UNKNOWN, Problem
from epitaxy.fitting.protocol import Nested
from epitaxy.fitting.verdict import Verdict
from epitaxy.reports.baseline import verdict_of
from epitaxy.reports.numbers import interval_text, with_unit
from epitaxy.results.intervals import score

KINDS = {
    UNKNOWN: "crystals that no source has seen",
    RELATED: "crystals of which a source knows a related property",
    ANY: "crystals never used for training or model selection",
}
"""Kinds of crystals in words."""


def scores(
    problem: Problem, outcome: Nested, verdict: Verdict, numbers: Mapping[str, Any]
) -> dict[str, Any]:
    """Return errors, intervals and verdicts, as score.json has them.

    ``mae`` and ``mae_interval`` are None where the crystals of the kind that will be predicted are
    too few to tell an error.

    Args:
        problem: what is to be learned.
        outcome: of all repeats.
        verdict: what is handed over.
        numbers: of the rows `Problem.told`, see `metrics`.
    """
    errors = np.abs(verdict.handed.predictions - problem.labels)
    kinds = {
        kind: error_of(problem, errors, np.flatnonzero(problem.is_of(kind))) for kind in EXPECTED
    }
    is_told = len(problem.headline) > 0
    return {
        "mae": numbers["mae"] if is_told else None,
        "mae_interval": numbers["mae_interval"] if is_told else None,
        "n": int(problem.is_of(problem.expected).sum()),
        "unit": problem.spec.unit,
        "expected": problem.expected,
        "by_kind": {kind: found for kind, found in kinds.items() if found["n"]},
        "rows": len(problem.labels),
        "unscored": int((problem.folds == KNOWN).sum()),
        "baseline_mae": numbers["baseline_mae"],
        "baseline": verdict_of(numbers),
        "aimed_coverage": COVERAGE,
        "transfer": verdict.sentence,
        "transfer_effect": verdict.effect.content() if verdict.effect else None,
        "transfer_used_in": verdict.used_in,
        "apart": _apart(problem, outcome),
    }


def medians(problem: Problem) -> np.ndarray:
    """Return what always predicting the median of the training rows gives, (n,); NaN unscored."""
    found = np.full(len(problem.table), np.nan)
    for outer in range(FOLDS):
        held = problem.outside((outer,))
        found[held] = np.median(problem.labels[problem.inside((outer,))])
    return found


def error_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the errors of score.json in words; first that a baseline is not beaten, if so."""
    unit = str(found["unit"])
    lines = [found["baseline"]] if found["baseline"] else []
    expected, by_kind = str(found["expected"]), found["by_kind"]
    is_plain = expected == UNKNOWN and not found["unscored"] and RELATED not in by_kind
    words = KINDS[ANY if is_plain else expected]
    if found["mae"] is None:
        lines.append(
            f"Only {found['n']} of {found['rows']} are {words}: too few to tell the error on such."
        )
    else:
        lines.append(_line(words, found, unit))
    lines += [
        _line(KINDS[kind], numbers, unit)
        for kind, numbers in by_kind.items()
        if kind != expected and "mae" in numbers
    ]
    lines.append(
        f"Baseline (always predicting the median): {with_unit(found['baseline_mae'], unit, 3)}."
    )
    kind = found["group_kind"]
    if known := found["known_groups"]:
        lines.append(_line(f"new crystals of {kind} that are in the table", known, unit))
    if plain := found["plain_folds"]:
        lines.append(_line(f"crystals drawn like these, of known and new {kind}", plain, unit))
    if apart := found["apart"]:
        lines.append(
            f"{_line('the same crystals', apart, unit)[:-1]} with {', '.join(apart['sources'])}, "
            "which may know these values."
        )
    return lines


def _line(words: str, found: Mapping[str, Any], unit: str) -> str:
    return (
        f"Mean absolute error on {words}: {with_unit(found['mae'], unit, 3)} "
        f"(95 % interval {interval_text(found['mae_interval'], unit)}; n = {found['n']})."
    )


def _apart(problem: Problem, outcome: Nested) -> dict[str, Any] | None:
    """Return the error with sources that may know everything, on the rows of the headline."""
    rows = problem.headline
    if outcome.apart is None or not len(rows):
        return None
    errors = np.abs(outcome.apart - problem.labels)
    return error_of(problem, errors, rows) | {"sources": list(problem.apart.values())}


def error_of(problem: Problem, errors: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """Return the number of rows, and their error with its interval where they are enough."""
    if len(rows) < FEWEST_ROWS:
        return {"n": len(rows)}
    found = score(errors[rows], problem.groups_of(rows), FOLDS)
    return {"n": len(rows), "mae": found.mae, "mae_interval": list(found.interval)}
