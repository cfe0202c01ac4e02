"""Several targets in one call: each is learned by itself, then stands in a table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.core.files import MARKER, atomic_file
from epitaxy.reports.numbers import interval_text, with_unit
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

if TYPE_CHECKING:
    from epitaxy.fitting.fit import Fitted

logger = logging.getLogger("epitaxy")
TABLE = "targets.csv"
Data = str | Path | StructureTable
"""Whatever `read_table` reads."""
One = Callable[[StructureTable, str, Path, float], "Fitted"]
"""Crystals, target, folder and share of the time that is left -> fit."""


@dataclass(frozen=True)
class Several:
    """Finished fits of several targets."""

    folder: Path
    runs: dict[str, Fitted]
    """Target -> its fit."""
    refused: dict[str, str]
    """Target -> why it could not be learned."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per target, as in targets.csv."""
        rows = [_row(name, run) for name, run in self.runs.items()]
        rows += [{"target": n, "verdict": reason} for n, reason in self.refused.items()]
        return pd.DataFrame(rows)

    def text(self) -> str:
        """Return the outcome in words, one target after the other."""
        lines = ["Mean absolute errors on crystals never used for training or model selection:", ""]
        for name, run in self.runs.items():
            unit, score = str(run.score["unit"]), run.score
            lines.append(
                f"  {name:20s} {with_unit(run.mae, unit, 3)} (95 % interval "
                f"{interval_text(run.interval, unit)}; always predicting the median: "
                f"{with_unit(score['baseline_mae'], unit, 3)}; n = {score['n']})"
            )
            lines += [f"  {'':20s} {score['transfer']}"] if score["transfer"] else []
            lines.append(f"  {'':20s} {run.folder}")
        lines += [f"  {name:20s} not learned: {why}" for name, why in self.refused.items()]
        return "\n".join([*lines, "", f"Table: {self.folder / TABLE}"])


def fit_each(data: Data, targets: Sequence[str], out: Path, one: One) -> Several:
    """Fit one target after the other, each into a folder of its name; the data is read once.

    Raises:
        InputError: a target is given twice or cannot name a folder, the data lacks one, or none
            could be learned.
    """
    twice = [name for name in targets if list(targets).count(name) > 1]
    if twice or not targets:
        what = f"The target {twice[0]!r} is given twice" if twice else "No target is given"
        raise InputError(f"{what}; name each property once.")
    wrong = [name for name in targets if "/" in name or name.startswith(".")]
    if wrong:
        raise InputError(f"The target {wrong[0]!r} cannot name a folder; fit it alone.")
    table = read_table(data, target=list(targets))
    runs: dict[str, Fitted] = {}
    refused: dict[str, str] = {}
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    for number, name in enumerate(targets):
        logger.info("Target %d of %d: %s.", number + 1, len(targets), name)
        try:
            runs[name] = one(table, name, out / name, 1 / (len(targets) - number))
        except InputError as error:
            # Of many properties one may have too few values; the others are learned all the same.
            logger.warning("%s: %s", name, error)
            refused[name] = str(error)
    if not runs:
        raise InputError(f"{targets[0]}: {refused[targets[0]]}")
    found = Several(out, runs, refused)
    with atomic_file(out / TABLE) as temporary:
        found.table.to_csv(temporary, index=False)
    return found


def _row(name: str, run: Fitted) -> dict[str, Any]:
    low, high = run.interval
    return {
        "target": name,
        "mae": run.mae,
        "mae_low": low,
        "mae_high": high,
        "unit": run.score["unit"],
        "baseline_mae": run.score["baseline_mae"],
        "n": run.score["n"],
        "verdict": run.score["transfer"],
        "folder": str(run.folder),
    }
