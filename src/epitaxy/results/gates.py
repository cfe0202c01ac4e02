"""What the gates of mixtures chose: a table of runs and experts, means, and agreement over seeds.

Source: R. Chang, Y.-X. Wang and E. Ertekin, npj Comput. Mater. 8, 242 (2022), Fig. 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError

TOP = 4
"""How many of the heaviest experts are compared between runs."""


class RunGates(NamedTuple):
    """The gate of one run."""

    run: str
    task: str
    seed: int | None
    weights: Mapping[str, float]
    """Expert -> weight, 0 where it was not chosen; they sum to 1."""


def gate_table(runs: Sequence[RunGates]) -> pd.DataFrame:
    """Return the weights with one row per run (``run``, ``task``, ``seed``) and one column each.

    A weight is NaN where the expert was no part of the mixture.

    >>> gate_table([RunGates("r1", "gap", 0, {"a": 1.0}), RunGates("r2", "gap", 1, {"b": 1.0})])
                     a    b
    run task seed
    r1  gap  0     1.0  NaN
    r2  gap  1     NaN  1.0
    """
    experts = list(dict.fromkeys(name for run in runs for name in run.weights))
    index = pd.MultiIndex.from_tuples([run[:3] for run in runs], names=list(RunGates._fields[:3]))
    rows = [[run.weights.get(name, np.nan) for name in experts] for run in runs]
    return pd.DataFrame(rows, index=index, columns=experts, dtype=np.float64)


def mean_gates(table: pd.DataFrame, sizes: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Average the weights over the runs of each task: one row per task, one column per expert.

    Args:
        table: what `gate_table` returned.
        sizes: expert -> number of crystals that it was trained on. Experts are ordered from few to
            many, those of unknown size behind in their own order.

    >>> runs = [RunGates(f"r{i}", "gap", i, {"a": w, "b": 1 - w}) for i, w in enumerate([0.5, 0.7])]
    >>> mean_gates(gate_table(runs), {"a": 90, "b": 10})
            b    a
    task
    gap   0.4  0.6
    """
    given = sizes or {}
    order = sorted(table.columns, key=lambda name: given.get(str(name), np.inf))
    # Tasks stay in the order in which they came.
    means: pd.DataFrame = table.groupby(level="task", sort=False).mean()
    return means[order]


def agreement(table: pd.DataFrame, top: int = TOP) -> pd.DataFrame:
    """Tell how alike the gates of one task are, averaged over all pairs of its runs.

    Args:
        table: what `gate_table` returned.
        top: how many of the heaviest experts make a set.

    Returns:
        One row per task: ``task``, ``runs``; ``overlap``, the share of the heaviest experts that
        two runs have in common (see `top_overlap`); ``chance``, what it would be for sets drawn at
        random; ``spearman``, the rank correlation of all weights. NaN for a single run, and where
        all weights of a run are equal.

    Raises:
        InputError: ``top`` is below 1.

    >>> runs = [RunGates(f"r{i}", "gap", i, {"a": 0.6, "b": 0.4, "c": 0.0}) for i in range(2)]
    >>> agreement(gate_table(runs), top=1).round(3).to_dict("records")
    [{'task': 'gap', 'runs': 2, 'overlap': 1.0, 'chance': 0.333, 'spearman': 1.0}]
    """
    if top < 1:
        raise InputError(f"top={top} is not allowed; compare at least 1 expert.")
    rows = []
    for task, group in table.groupby(level="task", sort=False):
        weights = group.to_numpy()
        pairs = [_pair(weights[i], weights[j], top) for i, j in combinations(range(len(group)), 2)]
        found = pd.DataFrame(pairs, columns=["overlap", "chance", "spearman"], dtype=np.float64)
        rows.append((task, len(group), *found.mean()))
    return pd.DataFrame(rows, columns=["task", "runs", "overlap", "chance", "spearman"])


def top_overlap(one: np.ndarray, two: np.ndarray, top: int) -> float:
    """Return the share of the heaviest experts of two gates that are the same.

    A set has at most ``top`` experts and none of weight 0; the share is that of the larger set.
    Where experts of one weight compete for the last places, the expected value is taken, as if
    they were drawn.

    Args:
        one: (m,) weights.
        two: (m,) weights of the same experts.
        top: size of the sets.

    >>> top_overlap(np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.5, 0.0, 0.3, 0.2]), 2)
    0.5
    """
    first, second = _membership(one, top), _membership(two, top)
    return float(first @ second / max(first.sum(), second.sum()))


def _pair(one: np.ndarray, two: np.ndarray, top: int) -> tuple[float, float, float]:
    """Return overlap, chance and rank correlation over the experts that both runs have."""
    both = np.isfinite(one) & np.isfinite(two)
    one, two = one[both], two[both]
    if not one.any() or not two.any():
        return np.nan, np.nan, np.nan
    smaller = min(_membership(weights, top).sum() for weights in (one, two))
    ranks = pd.DataFrame({"one": one, "two": two}).rank()
    spread = ranks.std(ddof=0).min()
    spearman = float(ranks["one"].corr(ranks["two"])) if spread > 0 else np.nan
    return top_overlap(one, two, top), float(smaller / len(one)), spearman


def _membership(weights: np.ndarray, top: int) -> np.ndarray:
    """Return (m,) how surely each expert is among the ``top`` heaviest, 0 for weight 0."""
    places = min(top, int((weights > 0).sum()))
    if places == 0:
        return np.zeros(len(weights))
    border = np.sort(weights)[-places]
    above, tied = weights > border, weights == border
    share: np.ndarray = above + tied * (places - above.sum()) / tied.sum()
    return share
