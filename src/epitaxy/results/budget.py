"""Where to spend on rows: more source rows, or more target rows?

With the error E = k n_t^-alpha n_s^-beta at n_t target and n_s source rows that cost c_t and c_s
each (Hoffmann et al., Digital Discovery 2, 1368 (2023), Fig. 5). Costs are in any one unit, hours
of computing for example; a budget is in the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from epitaxy.core.errors import InputError

DECIDED = 0.8
"""From this share of draws on an option is recommended; below, neither is."""


class Purchase(NamedTuple):
    """What a budget buys, and the error afterwards relative to that before."""

    target: float
    """Target rows to add."""
    source: float
    """Source rows to add."""
    ratio: float
    """Error afterwards / error now."""


@dataclass(frozen=True)
class Economy:
    """Exponents of the law, costs, and the rows that exist."""

    alpha: float
    """Exponent of the target rows at the present number of source rows."""
    beta: float
    """Exponent of the source rows at the present number of target rows."""
    cost_target: float
    cost_source: float
    have_target: float
    have_source: float
    gamma: float = 0.0
    """Interaction: + gamma ln(n_t / have_target) ln(n_s / have_source) in ln E; above 0, each
    kind of rows is worth less the more there is of the other."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            InputError: a cost or a number of rows is not above 0, an exponent is not finite, or
                neither kind of rows lowers the error.
        """
        for name in ("cost_target", "cost_source", "have_target", "have_source"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                what = name.replace("_", " ")
                raise InputError(f"A {what} of {value:g} is not allowed; give a number above 0.")
        if not np.isfinite([self.alpha, self.beta, self.gamma]).all():
            raise InputError(
                f"The slopes {self.alpha:g} and {self.beta:g} are not numbers; give both exponents."
            )
        if max(self.alpha, self.beta) <= 0:
            raise InputError(
                f"By these slopes (target {self.alpha:.3g}, source {self.beta:.3g}) neither kind "
                "of rows lowers the error, so no purchase helps; give exponents above 0."
            )

    @property
    def gain_target(self) -> float:
        """Relative fall of the error per unit of cost spent on target rows, alpha / (c_t n_t)."""
        return self.alpha / (self.cost_target * self.have_target)

    @property
    def gain_source(self) -> float:
        """The same of source rows, beta / (c_s n_s)."""
        return self.beta / (self.cost_source * self.have_source)

    @property
    def ratio(self) -> float:
        """Source rows per target row now."""
        return self.have_source / self.have_target

    @property
    def break_even(self) -> float:
        """Source rows per target row from which target rows are the better purchase.

        (beta / alpha) (c_t / c_s): 0 when source rows do not help, infinite when target rows do
        not.
        """
        if self.alpha <= 0:
            return np.inf
        return max(self.beta, 0.0) / self.alpha * self.cost_target / self.cost_source

    @property
    def better(self) -> str:
        """``target`` or ``source``: where the next unit of cost lowers the error most."""
        return "target" if self.gain_target >= self.gain_source else "source"

    def after(self, target: float, source: float) -> float:
        """Return error afterwards / error now when so many rows are added."""
        t = np.log1p(target / self.have_target)
        s = np.log1p(source / self.have_source)
        return float(np.exp(-self.alpha * t - self.beta * s + self.gamma * t * s))

    def all_target(self, budget: float) -> Purchase:
        """Spend everything on target rows: E / E0 = (1 + B / (c_t n_t))^-alpha."""
        rows = _checked(budget) / self.cost_target
        return Purchase(rows, 0.0, self.after(rows, 0.0))

    def all_source(self, budget: float) -> Purchase:
        """Spend everything on source rows: E / E0 = (1 + B / (c_s n_s))^-beta."""
        rows = _checked(budget) / self.cost_source
        return Purchase(0.0, rows, self.after(0.0, rows))

    def best(self, budget: float) -> Purchase:
        """Spend so that the error is smallest.

        With W = B + c_t n_t + c_s n_s the optimum without interaction is n_t = alpha / (alpha +
        beta) W / c_t and n_s = beta / (alpha + beta) W / c_s; where that is less than there is
        already, everything goes to the other. With an interaction the share is searched for.

        >>> paper = Economy(0.12, 0.096, 5.0, 1.0, 11000.0, 178000.0)
        >>> [round(x, 4) for x in paper.best(500000.0)]
        [70444.4444, 147777.7778, 0.7421]
        """
        if self.gamma:
            share = self._searched(_checked(budget))
        else:
            alpha, beta = max(self.alpha, 0.0), max(self.beta, 0.0)
            spent = self.cost_target * self.have_target
            wealth = _checked(budget) + spent + self.cost_source * self.have_source
            wanted = alpha / (alpha + beta) * wealth - spent
            share = float(np.clip(wanted / budget, 0, 1)) if budget else 0.0
        target = share * budget / self.cost_target
        source = (1 - share) * budget / self.cost_source
        return Purchase(target, source, self.after(target, source))

    def budget_for(self, ratio: float, largest: float = 1e12) -> float:
        """Return the smallest budget that brings the error to ``ratio`` times what it is now.

        Args:
            ratio: error wanted / error now.
            largest: of the search, in units of what the present rows have cost.

        Returns:
            The budget, 0 when the error is there already, infinite when ``largest`` is not enough.

        Raises:
            InputError: ``ratio`` is not above 0.
        """
        from scipy.optimize import brentq

        if not (np.isfinite(ratio) and ratio > 0):
            raise InputError(f"An error of {ratio:g} times the present one is not above 0.")
        if ratio >= 1:
            return 0.0
        unit = self.cost_target * self.have_target + self.cost_source * self.have_source

        def missing(log: float) -> float:
            return float(np.log(self.best(float(np.exp(log)) * unit).ratio / ratio))

        low, high = np.log(1e-12), np.log(largest)
        if missing(high) > 0:
            return np.inf
        if missing(low) < 0:
            return 0.0
        return float(np.exp(brentq(missing, low, high, xtol=1e-14, rtol=1e-14))) * unit

    def _searched(self, budget: float) -> float:
        """Return the share for target rows, from a grid that is refined around its best point."""
        low, high = 0.0, 1.0
        for _ in range(6):
            shares = np.linspace(low, high, 41)
            t = np.log1p(shares * budget / self.cost_target / self.have_target)
            s = np.log1p((1 - shares) * budget / self.cost_source / self.have_source)
            place = int(np.argmin(-self.alpha * t - self.beta * s + self.gamma * t * s))
            low, high = shares[max(place - 1, 0)], shares[min(place + 1, 40)]
        return float(shares[place])


def confidence(economy: Economy, draws: np.ndarray) -> float:
    """Return the share of drawn exponents for which target rows are the better purchase.

    Args:
        economy: costs and rows.
        draws: (k, 2) alpha and beta.

    >>> paper = Economy(0.12, 0.096, 5.0, 1.0, 178000.0, 178000.0)
    >>> confidence(paper, np.array([[0.12, 0.096], [0.6, 0.096]]))
    0.5
    """
    alpha, beta = draws.T
    target = alpha / (economy.cost_target * economy.have_target)
    source = beta / (economy.cost_source * economy.have_source)
    return float((target >= source).mean())


def verdict(share_target: float) -> str:
    """Return ``target``, ``source``, or ``either`` where draws do not agree.

    >>> verdict(0.9), verdict(0.5), verdict(0.1)
    ('target', 'either', 'source')
    """
    if share_target > DECIDED:
        return "target"
    return "source" if share_target < 1 - DECIDED else "either"


def _checked(budget: float) -> float:
    if not (np.isfinite(budget) and budget >= 0):
        raise InputError(f"A budget of {budget:g} is not allowed; give a number from 0 on.")
    return budget
