"""`budget`: where the next hour of computing should go, into source rows or target rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.recipes.analysing import analysis_folder
from epitaxy.reports.budget_report import budget_sentences, write_budget_report
from epitaxy.results.budget import Economy
from epitaxy.results.budget_plan import BudgetPlan, plan_budget
from epitaxy.results.budget_slopes import Given, Slopes, fitted_slopes, given_slopes
from epitaxy.results.intervals import LEVEL
from epitaxy.results.scaling_answers import REACH
from epitaxy.studies.scaling import Results, read_results


@dataclass(frozen=True)
class BudgetAnswer(BudgetPlan):
    """What `budget` found."""

    folder: Path | None = None
    """Where it was written."""

    @property
    def text(self) -> str:
        """The answers as text for a terminal."""
        return "\n".join(budget_sentences(self))


def budget(
    results: Results | None = None,
    out: str | Path | None = None,
    *,
    cost_target: float,
    cost_source: float,
    have_target: float,
    have_source: float,
    unit: str = "hours",
    budget: float | None = None,
    wanted: float | None = None,
    error_now: float | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    alpha_error: float | None = None,
    beta_error: float | None = None,
    targets: int = 1,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: tuple[str, str] | None = None,
    interval: str = "sizes",
    level: float = LEVEL,
    reach: float = REACH,
    seed: int = 0,
) -> BudgetAnswer:
    """Tell whether the next money should buy target rows or source rows.

    With E = k n_t^-alpha n_s^-beta target rows are the better purchase when there are more than
    (beta / alpha) (cost_target / cost_source) source rows per target row (Hoffmann and co-workers
    2023; `epitaxy.results.budget`).

    Args:
        results: table of results (see `scaling`) of one transfer, to which exponents are fitted;
            None when both are given.
        out: folder to write: ``report.md``, ``budget.csv``, ``figures/``.
        cost_target: of one target row, in ``unit``.
        cost_source: of one source row.
        have_target: target rows that exist.
        have_source: source rows that exist.
        unit: of costs and budgets.
        budget: to spend; without one only the next unit of cost is decided.
        wanted: error whose smallest budget is asked for, in the unit of the errors.
        error_now: error with the rows that exist; that of the fit when None.
        alpha: exponent of the target rows; fitted when None.
        beta: exponent of the source rows; fitted when None.
        alpha_error: standard error of ``alpha``; exact when None.
        beta_error: standard error of ``beta``; exact when None.
        targets: how many target properties the source rows serve; each bears its share of them.
        columns: as in `scaling`.
        by: as in `scaling`.
        where: as in `scaling`.
        baseline: as in `scaling`.
        interval: as in `scaling`.
        level: coverage of the interval of the break-even ratio.
        reach: how many times the largest size measured the law is followed.
        seed: of everything that is drawn.

    Raises:
        InputError: a number is out of its range, an exponent is neither given nor in the results,
            or these hold several transfers.
    """
    if targets < 1:
        raise InputError(f"{targets} target properties is not allowed; give a number from 1 on.")
    source = Economy(1.0, 1.0, cost_target, cost_source, have_target, have_source)
    first = None if alpha is None else Given(alpha, alpha_error)
    second = None if beta is None else Given(beta, beta_error)
    if results is None:
        if first is None or second is None:
            raise InputError(
                "Neither results nor both exponents were given; give a table of results, or alpha "
                "and beta."
            )
        slopes = given_slopes(first, second, seed=seed)
    else:
        table = read_results(results, columns=columns, by=by, where=where, baseline=baseline)
        have = (source.have_target, source.have_source)
        slopes = fitted_slopes(table, have, alpha=first, beta=second, interval=interval, seed=seed)
    target = None if out is None else analysis_folder(out, [results])
    plan = plan_budget(
        _economy(slopes, source, targets),
        slopes if error_now is None else _with_error(slopes, error_now),
        unit=unit,
        budget=budget,
        wanted=wanted,
        level=level,
        reach=reach,
    )
    if target is not None:
        write_budget_report(target, plan)
    parts = {field.name: getattr(plan, field.name) for field in fields(BudgetPlan)}
    return BudgetAnswer(**parts, folder=target)


def _economy(slopes: Slopes, costs: Economy, targets: int) -> Economy:
    return Economy(
        alpha=slopes.alpha,
        beta=slopes.beta,
        cost_target=costs.cost_target,
        cost_source=costs.cost_source / targets,
        have_target=costs.have_target,
        have_source=costs.have_source,
        gamma=slopes.gamma,
    )


def _with_error(slopes: Slopes, error: float) -> Slopes:
    if not (np.isfinite(error) and error > 0):
        raise InputError(f"A present error of {error:g} is not allowed; give a number above 0.")
    return replace(slopes, error=error)
