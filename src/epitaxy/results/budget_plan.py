"""A budget in numbers and frames: what to buy next, how sure that is, what a budget buys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.results.budget import Economy, Purchase, confidence, verdict
from epitaxy.results.budget_slopes import Slopes
from epitaxy.results.intervals import LEVEL
from epitaxy.results.scaling import Interval
from epitaxy.results.scaling_answers import REACH
from epitaxy.results.scaling_resampling import percentiles

WAYS = ("all_target", "all_source", "best")
"""Methods of `Economy` that spend a budget."""
STEPS = 80
SPAN = 1e4
"""Ratio of the largest to the smallest budget that is drawn without one of the user."""


@dataclass(frozen=True)
class BudgetPlan:
    """Where to spend."""

    economy: Economy
    slopes: Slopes
    unit: str
    """Of costs and budgets."""
    better: str
    """``target``, ``source``, or ``either`` where the fits that the results allow disagree."""
    share_target: float | None
    """Share of these fits for which target rows are better; None when they are not known."""
    break_even: float
    """Source rows per target row from which target rows are the better purchase."""
    break_even_interval: Interval | None
    budget: float | None
    purchases: dict[str, Purchase]
    """Way of spending the budget -> what it buys; empty without a budget."""
    wanted: float | None
    """Error that is aimed at."""
    needed: float | None
    """Smallest budget that reaches it; infinite when none does."""
    level: float
    reach: float

    def beyond(self, purchase: Purchase) -> str | None:
        """Say why a purchase leaves the sizes that the results tell about, or None."""
        after = (
            self.economy.have_target + purchase.target,
            self.economy.have_source + purchase.source,
        )
        for kind, size, largest in zip(
            ("target", "source"), after, self.slopes.largest, strict=True
        ):
            if size > self.reach * largest:
                return (
                    f"{size:,.0f} {kind} rows are more than {self.reach:g} times the largest size "
                    f"measured ({largest:,.0f}), where the law is not known"
                )
        return None


def plan_budget(
    economy: Economy,
    slopes: Slopes,
    *,
    unit: str = "hours",
    budget: float | None = None,
    wanted: float | None = None,
    level: float = LEVEL,
    reach: float = REACH,
) -> BudgetPlan:
    """Answer where the next unit of cost should go, and what a budget or an error means.

    Raises:
        InputError: an error is wanted while the present one is not known, or a number is out of
            its range.
    """
    if not 0 < level < 1 or not reach >= 1:
        raise InputError(
            f"level={level:g} and reach={reach:g} came; level is a share such as 0.95, reach a "
            "factor from 1 on."
        )
    share = interval = None
    better = economy.better
    if slopes.draws is not None:
        share = confidence(economy, slopes.draws)
        better = verdict(share)
        interval = _break_even(economy, slopes.draws, level)
    needed = None
    if wanted is not None:
        if not (np.isfinite(wanted) and wanted > 0):
            raise InputError(f"The wanted error {wanted:g} is not allowed; give a number above 0.")
        if not np.isfinite(slopes.error):
            raise InputError(
                f"What an error of {wanted:g} costs is not known without the present error; give "
                "it, or results that vary the number of target rows."
            )
        needed = economy.budget_for(wanted / slopes.error)
    purchases = {} if budget is None else {way: getattr(economy, way)(budget) for way in WAYS}
    return BudgetPlan(
        economy=economy,
        slopes=slopes,
        unit=unit,
        better=better,
        share_target=share,
        break_even=economy.break_even,
        break_even_interval=interval,
        budget=budget,
        purchases=purchases,
        wanted=wanted,
        needed=needed,
        level=level,
        reach=reach,
    )


def budget_curves_frame(plan: BudgetPlan) -> pd.DataFrame:
    """Return what larger and larger budgets bring.

    Columns: ``budget``; ``all_target``, ``all_source`` and ``best``, error afterwards / error now;
    ``target`` and ``source``, the rows that exist after the best purchase.
    """
    economy = plan.economy
    present = economy.cost_target * economy.have_target + economy.cost_source * economy.have_source
    middle = plan.budget or present
    rows = []
    for budget in np.geomspace(middle / np.sqrt(SPAN), middle * np.sqrt(SPAN), STEPS):
        best = economy.best(float(budget))
        rows.append(
            {
                "budget": budget,
                "all_target": economy.all_target(float(budget)).ratio,
                "all_source": economy.all_source(float(budget)).ratio,
                "best": best.ratio,
                "target": economy.have_target + best.target,
                "source": economy.have_source + best.source,
            }
        )
    return pd.DataFrame(rows)


def _break_even(economy: Economy, draws: np.ndarray, level: float) -> Interval:
    """Return percentiles of the ratio; an exponent below 0 counts as 0."""
    alpha, beta = np.clip(draws, 0, None).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = beta / alpha * economy.cost_target / economy.cost_source
    # Where neither exponent is above 0 any ratio is as good as another.
    return percentiles(np.where(np.isnan(ratio), np.inf, ratio), level)
