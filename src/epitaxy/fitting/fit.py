"""`fit`: everything decided for the user, honestly scored."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import pandas as pd

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.hashing import content_hash
from epitaxy.core.parsing import read_json
from epitaxy.evaluation.bundle import Bundle
from epitaxy.evaluation.calibration import COVERAGE
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.continuing import KEPT, SAME, WORK, is_complete, set_work_aside
from epitaxy.fitting.pace import Deadline, Pace, ended_by
from epitaxy.fitting.plan import (
    PER_ROW,
    SHORTEST,
    Plan,
    budget_within,
    deadline_of,
    default_budget,
    make_plan,
    seconds_of,
)
from epitaxy.fitting.problem import UNKNOWN
from epitaxy.fitting.repeats import run_repeats
from epitaxy.fitting.scoring import error_lines
from epitaxy.fitting.setting_up import Ready, chosen_families, read_labelled, set_up
from epitaxy.fitting.several import Data, Several, fit_each
from epitaxy.fitting.speed import machine_factor
from epitaxy.fitting.tuning import require_optuna
from epitaxy.fitting.workshop import Workshop
from epitaxy.fitting.writing import CANDIDATES, SCORE, write_fit
from epitaxy.recipes.data import data_name
from epitaxy.recipes.workspace import read_config, run_folder, unfinished, workspace
from epitaxy.reports.numbers import with_unit
from epitaxy.results.predictions import read_predictions
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.table import StructureTable
from epitaxy.structures.understanding import understand

logger = logging.getLogger("epitaxy")
SETTING_UP = 0.4
"""Part of the time that is left, beyond which sources are not opened at all."""


@dataclass(frozen=True)
class Fitted:
    """A finished fit."""

    folder: Path
    score: dict[str, Any]
    """As in score.json."""

    @property
    def mae(self) -> float:
        """Mean absolute error on crystals never used for training or model selection.

        NaN where those of the kind that will be predicted are too few to tell it; errors on other
        kinds are in ``score["by_kind"]``.
        """
        return np.nan if self.score["mae"] is None else float(self.score["mae"])

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `mae`."""
        low, high = self.score["mae_interval"] or (np.nan, np.nan)
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
            *error_lines(found),
            (
                f"{100 * found['coverage']:.0f} % of the values lie within the "
                f"{100 * COVERAGE:.0f} % intervals."
            ),
        ]
        if found["repeats"] > 1:
            each = ", ".join(f"{error:.3g}" for error in found["repeat_maes"])
            lines.append(f"Each of the {found['repeats']} repeats by itself: {each}.")
        lines += [found["groups"]]
        lines += [found["transfer"]] if found["transfer"] else []
        lines += found["sources"]
        lines += ended_by(found["deadline"])
        lines += ["", "Selection scores (inner folds; not errors to expect):"]
        lines += selection_lines(self.candidates, unit)
        return "\n".join([*lines, "", f"Run folder: {self.folder} (README.md, report.html)"])


@overload
def fit(data: Data, target: str, out: str | Path, **settings: Any) -> Fitted: ...


@overload
def fit(data: Data, target: Sequence[str], out: str | Path, **settings: Any) -> Several: ...


def fit(  # type: ignore[misc]
    data: Data,
    target: str | Sequence[str],
    out: str | Path,
    *,
    budget: str | float | None = None,
    deadline: str | float | Deadline | None = None,
    candidates: str | Sequence[str] = "all",
    sources: str | Sequence[str | Path] = "zoo:*",
    trust_sources: bool = False,
    expect: str = UNKNOWN,
    group_by: str = AUTO,
    unit: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    repeats: int | None = None,
    tune: bool = False,
    calibration: float | None = None,
    overwrite: bool = False,
) -> Fitted | Several:
    """Try many ways of learning a property, and hand over the best with its honest error.

    Five outer folds, crystals of one composition (or whatever ``group_by`` says) always in one of
    them. Inside each, candidates compete on inner folds; the choice is trained on all rows outside
    the outer fold and predicts the rows inside it, which took no part in anything. The models of
    the five folds, and of all repeats with other folds, together are what is handed over.

    Args:
        data: whatever `read_table` reads.
        target: property to learn; of several, each is learned by itself.
        out: run folder to write; of several targets, the folder of their run folders.
        budget: ``90s``, ``30m``, ``2h`` or seconds: what is tried is planned for so much time of
            this machine. By default 5 minutes and one for 50 rows, or what the deadline leaves. It
            is divided among several targets.
        deadline: a time after which the best so far is handed over, counted from this call; also
            divided. Without one no clock decides anything.
        candidates: names of families, or ``all``; a list, or one text with commas.
        sources: trained models from which is transferred: run folders, ``zoo:NAME``, ``zoo:*``.
        trust_sources: let sources compete that do not say what they have learned; otherwise they
            are scored apart.
        expect: which crystals will be predicted, and hence choose the model and give its error:
            materials that no source has seen (``unknown``), those of which one knows a related
            property (``related``), or both (``any``).
        group_by: what stays together in a fold: ``auto``, ``formula``, ``system``, ``prototype``,
            ``structure``, ``none`` or a column, see `choose_grouping`.
        unit: unit of the target, where the data does not say it.
        seed: seed of everything random.
        threads: processes that work at a time; by default one per core.
        repeats: of the whole protocol, with other folds; the budget is divided among them. By
            default as many, up to three, as leave each what it would be alone.
        tune: also seek hyperparameters of the best candidates inside each outer fold; needs the
            extra ``tune``.
        calibration: seconds here for one second of the machine of the measurements. By default that
            of an earlier fit into the same folder, else measured once for a machine.
        overwrite: replace a finished run with other settings.

    Returns:
        The finished fit; of several targets all of them.

    Raises:
        InputError: something given is wrong, or there are too few crystals.
    """
    out = run_folder(out, [data, sources])
    end = deadline_of(deadline)
    wanted = None if budget is None else seconds_of(budget)
    settings: dict[str, Any] = {"candidates": candidates, "sources": sources, "unit": unit}
    settings |= {"seed": seed, "threads": threads, "repeats": repeats, "tune": tune}
    settings |= {"calibration": calibration, "group_by": group_by}
    settings |= {"trust_sources": trust_sources, "expect": expect}
    if isinstance(target, str):
        settings |= {"budget": wanted, "deadline": end}
        return _fit(data, target, out, overwrite=overwrite, **settings)

    def one(table: StructureTable, name: str, folder: Path, share: float) -> Fitted:
        limits: dict[str, Any] = {"deadline": None if end is None else end.part(share)}
        limits["budget"] = None if wanted is None else max(wanted / len(target), SHORTEST)
        return _fit(table, name, folder, overwrite=overwrite, **settings, **limits)

    return fit_each(data, target, out, one)


def _fit(data: Data, target: str, out: Path, *, overwrite: bool, **settings: Any) -> Fitted:
    """Fit one property."""
    set_work_aside(out)
    before = read_config(unfinished(out)) or read_config(out)
    if settings.get("calibration") is None:
        settings["calibration"] = before.get("calibration")
    made = prepare_fit(data, target, **settings)
    config = _config(data, made)
    if is_complete(out, config, overwrite=overwrite):
        logger.info("%s is already finished with these settings.", out)
        return open_fit(out)
    with (
        Workshop(made.threads) as workshop,
        workspace(out, config, keep=KEPT, may_differ=set(config) - SAME) as folder,
    ):
        done = run_repeats(made.ready.problem, made.plan, folder / WORK, workshop, made.pace)
        write_fit(made.ready, done, folder)
        if made.pace.record() is None:
            shutil.rmtree(folder / WORK)
    set_work_aside(out)
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
    tunes: bool
    pace: Pace
    understood: list[str]
    """What the data holds, and what will be tried, in words."""


def prepare_fit(
    data: Data,
    target: str,
    *,
    budget: str | float | None = None,
    deadline: str | float | Deadline | None = None,
    candidates: str | Sequence[str] = "all",
    sources: str | Sequence[str | Path] = "zoo:*",
    trust_sources: bool = False,
    expect: str = UNKNOWN,
    group_by: str = AUTO,
    unit: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    repeats: int | None = None,
    tune: bool = False,
    calibration: float | None = None,
) -> Prepared:
    """Read and describe the data, and plan what is tried; arguments as those of `fit`.

    Raises:
        InputError: something given is wrong, or there are too few crystals.
    """
    began, computed = time.monotonic(), time.process_time()
    families = chosen_families(candidates)
    workers = (os.cpu_count() or 1) if threads is None else threads
    _check_numbers(workers, repeats, calibration)
    if tune:
        require_optuna()
    wanted, end = None if budget is None else seconds_of(budget), deadline_of(deadline)
    table = read_labelled(data, target, unit, group_by)
    said = understand(table, target).lines()
    for line in said:
        logger.info("%s", line)
    pace = Pace(machine_factor() if calibration is None else calibration, end)
    pace.look(time.monotonic() - began, time.process_time() - computed)
    if not any(FAMILIES[name].transfers for name in families):
        sources = ()
    elif pace.spare(PER_ROW * len(table)) < (1 - SETTING_UP) * pace.spare(0.0):
        pace.left_out.append("sources of transfer")
        sources = ()
    ready = set_up(
        table,
        target,
        sources,
        seed,
        expect=expect,
        trust_sources=trust_sources,
        group_by=group_by,
    )
    pace.rows = len(ready.problem.table)
    pace.look(time.monotonic() - began, time.process_time() - computed)
    within = None if end is None else budget_within(end.seconds, pace.rows)
    seconds = wanted or within or default_budget(pace.rows)
    options: dict[str, Any] = {"repeats": repeats, "tune": tune, "factor": pace.factor}
    plan = make_plan(ready.problem, families, seconds, workers, **options)
    planned = [f"groups         {ready.grouping.sentence}"]
    planned += [f"budget         {seconds:.0f} s on {workers} cores", *plan.lines()]
    for line in planned:
        logger.info("%s", line)
    return Prepared(ready, families, plan, seconds, workers, tune, pace, [*said, *planned])


def _check_numbers(threads: int, repeats: int | None, calibration: float | None) -> None:
    if threads < 1:
        raise InputError(f"{threads} threads are not possible; give 1 or more.")
    if repeats is not None and repeats < 1:
        raise InputError(f"{repeats} repeats are not possible; give 1 or more.")
    if calibration is not None and not calibration > 0:
        raise InputError(f"The calibration {calibration:g} is not possible; give more than 0.")


def _config(data: Data, made: Prepared) -> dict[str, Any]:
    problem, plan, weights = made.ready.problem, made.plan, made.ready.weights
    sources = {
        name: {"from": where, "weights": weights[name]}
        for name, where in {**problem.sources, **problem.apart}.items()
    }
    deadline = made.pace.deadline
    return {
        "command": "fit",
        "title": f"{problem.target}: the best of {len(plan.shallow) + len(plan.networks)} ways",
        "data": data_name(data),
        "target": [problem.target],
        "budget_seconds": made.seconds,
        "deadline_seconds": None if deadline is None else deadline.seconds,
        "calibration": made.pace.factor,
        "threads": made.threads,
        "repeats": plan.repeats,
        "tune": made.tunes,
        "group_by": made.ready.grouping.by,
        "seed": problem.seed,
        "expect": problem.expected,
        "scored_apart": sorted(problem.apart.values()),
        "candidates": made.families,
        "sources": sources,
        "plan": plan.lines(),
        "properties": {problem.target: problem.spec.model_dump(mode="json")},
        "hashes": {
            "structures": problem.table.hash,
            "labels": content_hash(problem.labels),
        },
        "folds": content_hash(problem.folds),
        "rows": len(problem.table),
        "versions": {name: version(name) for name in ("epitaxy", "torch", "numpy", "scikit-learn")},
    }
