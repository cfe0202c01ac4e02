"""`matbench`: the official folds of a Matbench task, in the file format of the leaderboard."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from epitaxy.checkpoints.model_files import named_models
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.outputs import check_output
from epitaxy.core.properties import PropertySpec
from epitaxy.evaluation.calibration import COVERAGE
from epitaxy.fitting.fit import fit
from epitaxy.fitting.leaks import usable_sources
from epitaxy.recipes.data import composition_groups
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.mixture import mixture
from epitaxy.recipes.predict import predict
from epitaxy.recipes.running import Run, without_reports
from epitaxy.recipes.train import train
from epitaxy.reports.baseline import error_text, verdict_of
from epitaxy.results.matbench import (
    N_FOLDS,
    FoldResult,
    Task,
    beside_leaderboard,
    find_task,
    official_values,
    record,
    write_record,
)
from epitaxy.results.metrics import metrics
from epitaxy.results.predictions import make_predictions
from epitaxy.structures.distribution import propose_transform
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import Split, matbench_folds
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
SUFFIX = ".json.gz"


class FoldJob(NamedTuple):
    """One fold and one seed."""

    table: StructureTable
    """The whole data set; a recipe may look at the labels of train and val only."""
    target: str
    split: Split
    """``train`` and ``val`` are the official training rows, ``test`` the official test rows."""
    out: Path
    """Folder to work in; a recipe goes on with what it finds there."""
    seed: int
    options: Mapping[str, Any]


Recipe = Callable[[FoldJob], pd.DataFrame]
"""Fold -> predictions of test crystals: ids are the index, column ``y_pred``, and ``std`` where
each has a standard deviation; crystals that could not be predicted are absent."""


@dataclass(frozen=True)
class MatbenchResult:
    """What came out of the folds."""

    task: Task
    name: str
    folds: tuple[FoldResult, ...]
    path: Path | None
    """The written file; None while folds are missing."""
    numbers: Mapping[str, Mapping[str, Any]]
    """Numbers of `metrics` of each fold, and last of ``all`` their test rows together."""

    @property
    def errors(self) -> dict[int, float]:
        """Mean absolute error of each fold, in the unit of the task."""
        return {result.fold: result.scores["mae"] for result in self.folds}

    @property
    def mae(self) -> float:
        """Mean over the folds."""
        return float(np.mean(list(self.errors.values())))

    def text(self) -> str:
        """Return the errors of the folds, and the leaderboard with this result in its place."""
        verdict = verdict_of(list(self.numbers.values())[-1])
        folds = [f"{name}: {error_text(numbers)}" for name, numbers in self.numbers.items()]
        board = beside_leaderboard(self.task, self.name, list(self.errors.values()))
        return "\n".join([*([verdict] if verdict else []), *folds, board])


def matbench(
    task: str,
    recipe: str | Recipe,
    out: str | Path,
    *,
    data: str | Path | StructureTable | None = None,
    folds: Sequence[int] = tuple(range(N_FOLDS)),
    seeds: int = 1,
    seed: int = 0,
    name: str | None = None,
    runs: str | Path | None = None,
    overwrite: bool = False,
    **options: Any,
) -> MatbenchResult:
    """Run a recipe on the official folds of a Matbench task and write the leaderboard's file.

    The official training rows of a fold are divided into train and val by formula, or as the option
    ``group_by`` says; the test rows take no part in any choice. Finished folds are not repeated.

    Args:
        task: ``matbench_phonons`` or another regression task on structures.
        recipe: ``fit``, ``train``, ``finetune``, ``mixture``, ``constant``, or a function of a
            `FoldJob`.
        out: file to write, ending in .json.gz.
        data: the data set, whatever `read_table` reads, with rows in the official order;
            ``matminer:TASK`` when left out. Labels may be natural logarithms of the official ones.
        folds: which of the folds 0 to 4; the file is written when all are done.
        seeds: runs per fold, which differ in their validation rows and random numbers; the mean of
            their predictions counts. Standard deviations in the file are those over the seeds, and
            with ``fit`` also what its intervals say.
        seed: the first of the seeds.
        name: how the result is called in the file and the comparison.
        runs: folder of the runs; ``OUT`` without its ending, and ``.folds``, when left out.
        overwrite: replace a file that epitaxy did not write.
        options: arguments of the recipe: ``budget="10m"`` of fit, ``from_model="zoo:NAME"`` and
            ``epochs=30`` of finetune. The scale of learning is proposed from the training labels
            unless ``transform`` is given.

    Raises:
        InputError: there is no such task or recipe, the data are not those of the task, or an
            option is wrong.
    """
    found, out = find_task(task), Path(out)
    learn, called = _recipe(recipe, options)
    check_output(out, endings=(SUFFIX,), inputs=[data], overwrite=overwrite)
    _check(folds, seeds)
    table, truth = official_table(found, data)
    group_by = str(options.get("group_by", AUTO))
    folder = Path(runs) if runs is not None else out.with_name(f"{_stem(out)}.folds")
    results = []
    for fold in folds:
        frames = []
        for number in range(seed, seed + seeds):
            split = matbench_folds(table, seed=number, group_by=group_by)[fold]
            place = folder / f"fold{fold}-seed{number}"
            frames.append(learn(FoldJob(table, found.column, split, place, number, options)))
        rows = table.rows_of(split.test)
        settings = {"recipe": called, "seed": seed, "seeds": seeds, **_plain(options)}
        result = _combine(frames, split, truth, rows)
        results.append(replace(result, fold=fold, parameters={**settings, **result.parameters}))
        logger.info("%s fold %d: MAE %.4g", found.name, fold, results[-1].scores["mae"])
    label = name or f"epitaxy {called}"
    path = None
    if len(set(folds)) == N_FOLDS:
        metadata = {"algorithm": label, "epitaxy": version("epitaxy"), "recipe": called}
        write_record(out, record(found, results, metadata))
        path = out
    return MatbenchResult(found, label, tuple(results), path, _numbers(found, table, results))


def official_table(
    task: Task, data: str | Path | StructureTable | None
) -> tuple[StructureTable, np.ndarray]:
    """Return the data set of a task with its target in the official unit, and the labels.

    Raises:
        InputError: rows are missing, there are several columns and none is called like the target,
            or the labels are not those of the task.
    """
    table = read_table(f"matminer:{task.name}" if data is None else data)
    if len(table) != task.n_rows or (table.row_numbers != np.arange(len(table))).any():
        lost = f", {len(table.dropped)} were dropped" if table.dropped else ""
        raise InputError(
            f"{task.name} has {task.n_rows} rows, but {len(table)} came{lost}; all are needed, in "
            "the official order."
        )
    names = [n for n in (task.column, "target", *table.values) if n in table.values]
    if not names:
        raise InputError(
            f"The table has no property; {task.name} needs the column {task.column!r}."
        )
    tests = [table.rows_of(split.test) for split in matbench_folds(table)]
    truth = official_values(task, table.column(names[0]), tests)
    spec = PropertySpec(name=task.column, unit=task.unit, source=f"matminer:{task.name}")
    return table.with_property(spec, truth), truth


def _combine(
    frames: Sequence[pd.DataFrame], split: Split, truth: np.ndarray, rows: np.ndarray
) -> FoldResult:
    """Average over seeds; crystals without a prediction get the mean of the training labels."""
    values = pd.concat([f["y_pred"] for f in frames], axis=1).reindex(list(split.test))
    gone = values.isna().any(axis=1).to_numpy()
    mean = values.mean(axis=1).to_numpy(copy=True)
    variance = np.zeros(len(mean))
    if len(frames) > 1:
        variance += values.var(axis=1, ddof=1).to_numpy()
    if all("std" in f for f in frames):
        own = pd.concat([f["std"] for f in frames], axis=1).reindex(list(split.test))
        variance += (own**2).mean(axis=1).to_numpy()
    training = np.delete(truth, rows)
    mean[gone], variance[gone] = training.mean(), training.var(ddof=1)
    if gone.any():
        logger.warning(
            "%d of %d test crystals could not be predicted, %s first; they count with the mean of "
            "the training rows.",
            gone.sum(),
            len(gone),
            split.test[int(gone.argmax())],
        )
    std = np.sqrt(variance) if len(frames) > 1 or "std" in frames[0] else None
    parameters = {"not_predicted": int(gone.sum())}
    return FoldResult(-1, rows, truth[rows], mean, std, parameters)


def _numbers(
    task: Task, table: StructureTable, results: Sequence[FoldResult]
) -> dict[str, dict[str, Any]]:
    """Return the numbers of each fold and of all; the median is that of the training rows."""
    frames: dict[str, pd.DataFrame] = {}
    medians: dict[str, float] = {}
    for result in results:
        ids = table.ids[result.rows].astype(str).tolist()
        frames[f"fold {result.fold}"] = make_predictions(
            ids=ids,
            property_name=task.column,
            split="test",
            y_pred=result.y_pred,
            y_true=result.y_true,
            unit=task.unit,
        )
        training = np.delete(table.column(task.column), result.rows)
        medians |= dict.fromkeys(ids, float(np.median(training)))
    if len(results) > 1:
        frames["all"] = pd.concat(frames.values(), ignore_index=True)
    groups = composition_groups(table)
    found = {
        name: metrics(
            frame, groups=groups, n_folds=N_FOLDS if name == "all" else None, baseline=medians
        )
        for name, frame in frames.items()
    }
    return {name: numbers["test"][task.column] for name, numbers in found.items()}


def with_constant(job: FoldJob) -> pd.DataFrame:
    """Predict the mean of the training rows, whatever the crystal."""
    rows = job.table.rows_of([*job.split.train, *job.split.val])
    mean = float(job.table.column(job.target)[rows].mean())
    return pd.DataFrame({"y_pred": mean}, index=list(job.split.test))


def with_fit(job: FoldJob) -> pd.DataFrame:
    """Let `fit` choose on the official training rows; it does not see the test rows.

    Sources that have learned the values of crystals of the task are left out.
    """
    given_sources = named_models(job.options.get("sources", "zoo:*"))
    usable = usable_sources(given_sources, job.table, job.target, most=0)
    options = {**job.options, "sources": list(usable.models.values())}
    given = [*job.split.train, *job.split.val]
    training = job.table.select(np.sort(job.table.rows_of(given)))
    fitted = fit(training, job.target, job.out, seed=job.seed, **options)
    test = job.table.select(job.table.rows_of(job.split.test))
    frame = predict(fitted.folder, test)
    # The half width of an interval in standard deviations, were errors normal.
    widths = (frame["y_upper"] - frame["y_lower"]).to_numpy() / 2
    std = widths / norm.ppf((1 + COVERAGE) / 2)
    found = {"y_pred": frame["y_pred"].to_numpy(), "std": std}
    return pd.DataFrame(found, index=frame["id"].tolist())


def with_verb(verb: Callable[..., Run]) -> Recipe:
    """Return the recipe that trains with a verb on train, and chooses its epoch on val."""

    def learn(job: FoldJob) -> pd.DataFrame:
        rows = job.table.rows_of([*job.split.train, *job.split.val])
        proposal = propose_transform(job.table.column(job.target)[rows])
        options = {"transform": proposal.transform, **job.options}
        with without_reports():
            run = verb(
                data=job.table,
                target=job.target,
                out=job.out,
                split=job.split,
                seed=job.seed,
                **options,
            )
        test = run.predictions.query("split == 'test'")
        return pd.DataFrame({"y_pred": test["y_pred"].to_numpy()}, index=test["id"].tolist())

    return learn


VERBS: dict[str, Callable[..., Run]] = {"train": train, "finetune": finetune, "mixture": mixture}
RECIPES: dict[str, Recipe] = {
    "constant": with_constant,
    "fit": with_fit,
    **{name: with_verb(verb) for name, verb in VERBS.items()},
}
RESERVED = ("data", "target", "out", "split", "seed", "overwrite")
"""Arguments of the verbs that the folds decide."""


def _recipe(recipe: str | Recipe, options: Mapping[str, Any]) -> tuple[Recipe, str]:
    """Return the function of a recipe and its name; its options are checked before any work.

    Raises:
        InputError: the recipe is not known, an argument is missing, or may not be given.
    """
    if not isinstance(recipe, str):
        return recipe, getattr(recipe, "__name__", "function")
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    if recipe == "constant" and options:
        raise InputError(f"The recipe 'constant' takes no options, but {min(options)!r} came.")
    parameters = inspect.signature(VERBS.get(recipe, fit)).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [name for name in needed if name not in {*RESERVED, *options}]
    if missing and recipe != "constant":
        raise InputError(f"The recipe {recipe!r} needs {missing[0]}; give {missing[0]}=VALUE.")
    known = [p.name for p in parameters]
    unknown_ones = [name for name in options if name not in known] if recipe == "fit" else []
    if unknown_ones:
        raise unknown("argument of fit", unknown_ones[0], [k for k in known if k not in RESERVED])
    decided = [name for name in options if name in RESERVED]
    if decided:
        raise InputError(f"{decided[0]!r} is decided by the folds of Matbench; leave it out.")
    return RECIPES[recipe], recipe


def _check(folds: Sequence[int], seeds: int) -> None:
    if not folds or len(set(folds)) < len(folds) or not set(folds) <= set(range(N_FOLDS)):
        raise InputError(f"The folds {list(folds)} must be different numbers from 0 to 4.")
    if seeds < 1:
        raise InputError(f"seeds = {seeds} must be at least 1.")


def _stem(out: Path) -> str:
    return out.name.removesuffix(SUFFIX)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the file may hold them: numbers and texts as they are, all else as text."""
    kept = (bool, int, float, str, type(None))
    return {k: v if isinstance(v, kept) else str(v) for k, v in options.items()}
