"""Text, Markdown, CSV file and figures of a budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from epitaxy.core.files import atomic_folder, write_text
from epitaxy.reports.figures.budget_curves import budget_curves
from epitaxy.reports.figures.budget_map import budget_map
from epitaxy.reports.numbers import significant, with_unit
from epitaxy.reports.style import save_figure
from epitaxy.results.budget import Purchase
from epitaxy.results.budget_plan import BudgetPlan, budget_curves_frame

WAYS = {
    "best": "as well as possible",
    "all_target": "all for target rows",
    "all_source": "all for source rows",
}
"""Way of spending -> words."""


def budget_sentences(plan: BudgetPlan) -> list[str]:
    """Return the answers, one sentence or two each."""
    sentences = [_next(plan), _sure(plan), plan.slopes.origin]
    if plan.budget is not None:
        sentences.append(f"{_money(plan.budget, plan.unit)} buy:")
        sentences += [f"  {words}: {_bought(plan, way)}" for way, words in WAYS.items()]
        beyond = plan.beyond(plan.purchases["best"])
        if beyond:
            sentences.append(f"Not to be trusted: {beyond}.")
    if plan.wanted is not None and plan.needed is not None:
        sentences.append(_needed(plan, plan.wanted, plan.needed))
    return sentences


def write_budget_report(out: str | Path, plan: BudgetPlan) -> Path:
    """Write ``report.md``, ``budget.csv`` and the figures into the folder ``out``.

    Raises:
        InputError: ``out`` is not ours to write, or the disk is full.
    """
    curves = budget_curves_frame(plan)
    economy = plan.economy
    with atomic_folder(out) as folder:
        _frame(plan).to_csv(folder / "budget.csv", index=False)
        figure = budget_curves(curves, plan.unit, plan.budget)
        images = [save_figure(figure, folder / "figures" / "budget_curves.png", curves)]
        if 0 < plan.break_even < np.inf:
            here = pd.DataFrame({"target": [economy.have_target], "source": [economy.have_source]})
            path = pd.concat([here, curves[["target", "source"]]], ignore_index=True)
            figure = budget_map(path, plan.break_even, plan.break_even_interval)
            images.append(save_figure(figure, folder / "figures" / "budget_map.png", path))
        lines = ["# Where to spend on rows", ""]
        lines += [
            f"- {sentence.strip()}" if sentence.startswith("  ") else f"{sentence}\n"
            for sentence in budget_sentences(plan)
        ]
        for image in images:
            lines += ["", f"![{image.stem}](figures/{image.name})"]
        write_text(folder / "report.md", "\n".join(lines) + "\n")
    return Path(out)


def _next(plan: BudgetPlan) -> str:
    economy = plan.economy
    kinds = {"target": "to target rows", "source": "to source rows", "either": "to either"}
    ratio = f"{significant(economy.ratio, 3)} source rows per target row"
    if not 0 < plan.break_even < np.inf:
        other = "source" if plan.break_even == 0 else "target"
        why = f"more {other} rows do not lower the error by these slopes"
    else:
        interval = ""
        if plan.break_even_interval is not None:
            ends = [significant(end, 3) for end in plan.break_even_interval]
            interval = f" ({100 * plan.level:g} % interval {ends[0]} to {ends[1]})"
        why = (
            f"there are {ratio}, and target rows are the better purchase from "
            f"{significant(plan.break_even, 3)}{interval} on, the break-even ratio"
        )
    return f"The next {_one(plan.unit)} should go {kinds[plan.better]}: {why}."


def _sure(plan: BudgetPlan) -> str:
    economy, one = plan.economy, _one(plan.unit)
    gains = [
        f"{significant(100 * gain, 3)} % on {kind} rows"
        for kind, gain in (("target", economy.gain_target), ("source", economy.gain_source))
    ]
    text = f"One {one} lowers the error by {gains[0]}, by {gains[1]}."
    if plan.share_target is None:
        return text
    share = f"{100 * plan.share_target:.0f} %"
    return f"{text} Target rows are better in {share} of the fits that the results allow."


def _bought(plan: BudgetPlan, way: str) -> str:
    found: Purchase = plan.purchases[way]
    error = f"error {found.ratio:.4g} times the present one"
    if np.isfinite(plan.slopes.error):
        numbers = [significant(plan.slopes.error * x, 3) for x in (1.0, found.ratio)]
        error += f" ({numbers[0]} to {numbers[1]} {plan.slopes.unit}".rstrip() + ")"
    return f"{found.target:,.0f} target and {found.source:,.0f} source rows, {error}"


def _needed(plan: BudgetPlan, wanted: float, needed: float) -> str:
    error = with_unit(wanted, plan.slopes.unit, 3)
    if needed == 0:
        return f"{error} is reached with the rows that exist, by this law."
    if not np.isfinite(needed):
        return f"{error} is out of reach of any budget, by this law."
    purchase = plan.economy.best(needed)
    beyond = plan.beyond(purchase)
    if beyond:
        return f"What {error} costs is not said: {beyond}."
    return (
        f"{error} costs {_money(needed, plan.unit)} at least: {purchase.target:,.0f} target and "
        f"{purchase.source:,.0f} source rows more."
    )


def _frame(plan: BudgetPlan) -> pd.DataFrame:
    """Return one row: all numbers of the plan."""
    economy = plan.economy
    low, high = plan.break_even_interval or (np.nan, np.nan)
    row: dict[str, object] = {
        "better": plan.better,
        "share_target": plan.share_target,
        "break_even": plan.break_even,
        "break_even_low": low,
        "break_even_high": high,
        "ratio": economy.ratio,
        "alpha": economy.alpha,
        "beta": economy.beta,
        "gamma": economy.gamma,
        "gain_target": economy.gain_target,
        "gain_source": economy.gain_source,
        "error_now": plan.slopes.error,
        "error_unit": plan.slopes.unit,
        "budget": plan.budget,
        "cost_unit": plan.unit,
        "wanted": plan.wanted,
        "needed": plan.needed,
    }
    for way, found in plan.purchases.items():
        row |= {f"{way}_{name}": value for name, value in found._asdict().items()}
    return pd.DataFrame([row])


def _money(amount: float, unit: str) -> str:
    return f"{amount:,.6g} {unit}" if amount < 100 else f"{amount:,.0f} {unit}"


def _one(unit: str) -> str:
    """Return the singular of a unit of cost.

    >>> _one("core hours"), _one("EUR")
    ('core hour', 'EUR')
    """
    return unit[:-1] if unit.endswith("s") and len(unit) > 3 else unit
