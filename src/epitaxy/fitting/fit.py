"""`fit`: everything decided for the user, honestly scored."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import MARKER
from epitaxy.core.hashing import content_hash
from epitaxy.core.parsing import read_json
from epitaxy.evaluation.bundle import Bundle
from epitaxy.evaluation.calibration import COVERAGE
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.plan import PATIENCE, Plan, default_budget, make_plan, seconds_of
from epitaxy.fitting.repeats import run_repeats
from epitaxy.fitting.setting_up import Ready, chosen_families, read_labelled, set_up
from epitaxy.fitting.tuning import require_optuna
from epitaxy.fitting.writing import CANDIDATES, SCORE, write_fit
from epitaxy.recipes.data import data_name
from epitaxy.recipes.workspace import CONFIG, is_finished, run_folder, workspace
from epitaxy.reports.numbers import interval_text, with_unit
from epitaxy.results.predictions import read_predictions
from epitaxy.structures.table import StructureTable
from epitaxy.structures.understanding import understand

logger = logging.getLogger("epitaxy")
WORK = "work"
KEPT = {MARKER, CONFIG, WORK}
"""From these an interrupted fit continues."""
STOPPED_EARLY = "The clock stopped optional trainings; with more --budget more would be tried."


@dataclass(frozen=True)
class Fitted:
    """A finished fit."""

    folder: Path
    score: dict[str, Any]
    """As in score.json."""

    @property
    def mae(self) -> float:
        """Mean absolute error on rows that took no part in anything, physical units."""
        return float(self.score["mae"])

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `mae`."""
        low, high = self.score["mae_interval"]
        return float(low), float(high)

    @property
    def bundle(self) -> Bundle:
        """The models, read from the folder."""
        return Bundle.read(self.folder)

    @property
    def predictions(self) -> pd.DataFrame:
        """The outer predictions, read from the folder."""
        return read_predictions(self.folder / "predictions.parquet")

    @property
    def candidates(self) -> pd.DataFrame:
        """The selection scores, read from the folder."""
        return pd.read_csv(verified(self.folder / CANDIDATES))

    def text(self) -> str:
        """Return the outcome in words, the outer error first."""
        unit, found = str(self.score["unit"]), self.score
        lines = [
            (
                "Mean absolute error on crystals that took no part in any choice: "
                f"{with_unit(self.mae, unit, 3)} "
                f"(95 % interval {interval_text(self.interval, unit)}; n = {found['n']})."
            ),
            f"A constant would have {with_unit(found['constant_mae'], unit, 3)}.",
            (
                f"{100 * found['coverage']:.0f} % of these values lie within the "
                f"{100 * COVERAGE:.0f} % intervals."
            ),
        ]
        if found["repeats"] > 1:
            each = ", ".join(f"{error:.3g}" for error in found["repeat_maes"])
            lines.append(f"Each of the {found['repeats']} repeats by itself: {each}.")
        lines += [found["transfer"]] if found["transfer"] else []
        lines += found["sources"]
        lines += [STOPPED_EARLY] if found["stopped_early"] else []
        lines += ["", "Selection scores (inner folds; not errors to expect):"]
        lines += selection_lines(self.candidates, unit)
        return "\n".join([*lines, "", f"Run folder: {self.folder} (README.md, report.html)"])


def fit(
    data: str | Path | StructureTable,
    target: str,
    out: str | Path,
    *,
    budget: str | float | None = None,
    candidates: str | Sequence[str] = "all",
    sources: str | Sequence[str | Path] = "zoo:*",
    unit: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    repeats: int | None = None,
    tune: bool = False,
    overwrite: bool = False,
) -> Fitted:
    """Try many ways of learning a property, and hand over the best with its honest error.

    Five outer folds, crystals of one composition always in one of them. Inside each, candidates
    compete on inner folds; the choice is trained on all rows outside the outer fold and predicts
    the rows inside it, which took no part in anything. The models of the five folds, and of all
    repeats with other folds, together are what is handed over.

    Args:
        data: whatever `read_table` reads.
        target: property to learn.
        out: run folder to write.
        budget: ``90s``, ``30m``, ``2h`` or seconds; by default 5 minutes and one for 50 rows.
        candidates: names of families, or ``all``; a list, or one text with commas.
        sources: trained models from which is transferred: run folders, ``zoo:NAME``, ``zoo:*``.
        unit: unit of the target, where the data does not say it.
        seed: seed of everything random.
        threads: processes that work at a time; by default one per core.
        repeats: of the whole protocol, with other compositions in the folds; the budget is divided
            among them. By default as many, up to three, as leave each what it would be alone.
        tune: also seek hyperparameters of the best candidates inside each outer fold; needs the
            extra ``tune``.
        overwrite: replace a finished run with other settings.

    Returns:
        The finished fit.

    Raises:
        InputError: something given is wrong, or there are too few crystals.
    """
    out = run_folder(out, [data, sources])
    settings: dict[str, Any] = {"budget": budget, "candidates": candidates, "sources": sources}
    settings |= {"repeats": repeats, "tune": tune}
    made = prepare_fit(data, target, unit=unit, seed=seed, threads=threads, **settings)
    ready, plan = made.ready, made.plan
    config = _config(data, made, tuned=tune)
    if is_finished(out, config, overwrite=overwrite):
        logger.info("%s is already finished with these settings.", out)
        return open_fit(out)
    with workspace(out, config, keep=KEPT) as folder:
        allowed = PATIENCE * made.seconds
        done = run_repeats(ready.problem, plan, folder / WORK, made.threads, allowed)
        write_fit(ready, done, folder)
        shutil.rmtree(folder / WORK)
    return open_fit(out)


def selection_lines(candidates: pd.DataFrame, unit: str, most: int = 8) -> list[str]:
    """Return the best candidates in words, those that only some outer folds tried with a note."""
    best = candidates[candidates["stage"] == "comparison"]
    full = best["tried_in"].max()
    return [
        f"  {with_unit(float(row['inner_mae']), unit, 3):>16s}  {row['candidate']}"
        + (f" (in {row['tried_in']} of {full} outer folds)" if row["tried_in"] < full else "")
        for row in best.head(most).to_dict("records")
    ]


def open_fit(folder: str | Path) -> Fitted:
    """Open the folder of a finished fit.

    Raises:
        InputError: it is none.
    """
    path = verified(Path(folder) / SCORE)
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(folder)!r} is not the folder of a finished fit.") from error
    return Fitted(Path(folder), found)


class Prepared(NamedTuple):
    """What is known before anything is trained."""

    ready: Ready
    families: list[str]
    plan: Plan
    seconds: float
    """The budget."""
    threads: int
    understood: list[str]
    """What the data holds, and what will be tried, in words."""


def prepare_fit(
    data: str | Path | StructureTable,
    target: str,
    *,
    budget: str | float | None = None,
    candidates: str | Sequence[str] = "all",
    sources: str | Sequence[str | Path] = "zoo:*",
    unit: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    repeats: int | None = None,
    tune: bool = False,
) -> Prepared:
    """Read and describe the data, and plan what is tried; arguments as those of `fit`.

    Raises:
        InputError: something given is wrong, or there are too few crystals.
    """
    families = chosen_families(candidates)
    workers = (os.cpu_count() or 1) if threads is None else threads
    if workers < 1:
        raise InputError(f"{threads} threads are not possible; give 1 or more.")
    if repeats is not None and repeats < 1:
        raise InputError(f"{repeats} repeats are not possible; give 1 or more.")
    if tune:
        require_optuna()
    wanted = None if budget is None else _seconds(budget)
    table = read_labelled(data, target, unit)
    said = understand(table, target).lines()
    for line in said:
        logger.info("%s", line)
    needs_sources = any(FAMILIES[name].transfers for name in families)
    ready = set_up(table, target, sources if needs_sources else (), seed)
    seconds = wanted or default_budget(len(ready.problem.table))
    plan = make_plan(ready.problem, families, seconds, workers, repeats=repeats, tune=tune)
    planned = [f"budget         {seconds:.0f} s on {workers} cores", *plan.lines()]
    for line in planned:
        logger.info("%s", line)
    return Prepared(ready, families, plan, seconds, workers, [*said, *planned])


def _seconds(budget: str | float) -> float:
    return seconds_of(budget if isinstance(budget, str) else f"{budget:g}s")


def _config(data: str | Path | StructureTable, made: Prepared, *, tuned: bool) -> dict[str, Any]:
    problem, plan, weights = made.ready.problem, made.plan, made.ready.weights
    sources = {
        name: {"from": where, "weights": weights[name]} for name, where in problem.sources.items()
    }
    return {
        "command": "fit",
        "title": f"{problem.target}: the best of {len(plan.shallow) + len(plan.networks)} ways",
        "data": data_name(data),
        "target": [problem.target],
        "budget_seconds": made.seconds,
        "threads": made.threads,
        "repeats": plan.repeats,
        "tune": tuned,
        "seed": problem.seed,
        "candidates": made.families,
        "sources": sources,
        "plan": plan.lines(),
        "properties": {problem.target: problem.spec.model_dump(mode="json")},
        "hashes": {
            "structures": problem.table.hash,
            "labels": content_hash(problem.labels),
            "folds": content_hash(problem.folds),
        },
        "rows": len(problem.table),
        "versions": {name: version(name) for name in ("epitaxy", "torch", "numpy", "scikit-learn")},
    }
