"""From the outcome of the protocol to the run folder that `predict` opens."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from epitaxy.checkpoints.model_files import model_folder
from epitaxy.evaluation.bundle import Fold, Header, Member, write_header
from epitaxy.evaluation.calibration import Calibration, bounds_of_training, elements_of
from epitaxy.evaluation.domain import Domain
from epitaxy.evaluation.shallow import stacked
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.candidates.network import NETWORK
from epitaxy.fitting.candidates.shallow import MODEL
from epitaxy.fitting.choosing import Blend
from epitaxy.fitting.difficulty import difficulty_of
from epitaxy.fitting.entrants import Variant
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import OuterFold
from epitaxy.fitting.refitting import parts_of
from epitaxy.fitting.repeats import Repeat, blended_folds, folds_of
from epitaxy.fitting.runner import Runner
from epitaxy.results.conformal import CrossConformal
from epitaxy.results.predictions import make_predictions

DIFFICULTY = "difficulty.safetensors"


class Handed(NamedTuple):
    """What is handed over: for each outer fold a blend, and what they predict for its rows."""

    blends: tuple[Blend, ...]
    """Of the outer folds of all repeats, in order."""
    predictions: np.ndarray
    """(n,) outer predictions."""


def write_bundle(repeats: Sequence[Repeat], handed: Handed, folder: Path) -> pd.DataFrame:
    """Copy the models, calibrate the intervals, write the header; return the outer predictions."""
    problem = repeats[0].problem
    spread = np.zeros(len(problem.table))
    folds, used, copies = [], set(), _Copies(folder)
    for number, fold, weights in blended_folds(repeats, handed.blends):
        repeat, place = repeats[number], f"models/fold-{FOLDS * number + fold.number}"
        difficulty = difficulty_of(repeat.problem, fold, weights)
        difficulty.save(folder / place / DIFFICULTY)
        rows = repeat.problem.outside((fold.number,))
        spread[rows] += difficulty(problem.select(rows)) / len(repeats)
        members = copies.of_fold(repeat.runner, fold, weights, place)
        folds.append(Fold(members=tuple(members), difficulty=f"{place}/{DIFFICULTY}"))
        used |= _blocks(fold, weights)
    sources = tuple(name for name in problem.sources if name in used)
    for name in sources:
        copy_model(model_folder(problem.sources[name]), folder / "sources" / name)
    whole = [
        copies.member(repeats[part.repeat].runner, part.task, part.weight, f"models/whole/{number}")
        for number, part in enumerate(parts_of(repeats, handed.blends))
    ]
    header = Header(
        spec=problem.spec,
        descriptors=problem.descriptors,
        sources=sources,
        folds=tuple(folds),
        whole=tuple(whole),
    )
    residuals = problem.labels - handed.predictions
    blocks = sources or problem.descriptors
    points = stacked(problem.blocks, blocks)
    judges = np.flatnonzero(problem.judges)
    calibration = Calibration(
        CrossConformal(residuals[judges], folds_of(repeats)[judges], spread[judges]),
        Domain.of(problem.table.ids.tolist(), elements_of(problem.table), points),
        blocks,
    )
    calibration.save(folder)
    write_header(folder, header)
    rows = problem.scored
    predictions = handed.predictions[rows]
    counts = problem.judges[rows]
    bounds = bounds_of_training(
        predictions, residuals[rows], problem.folds[rows], spread[rows], counts
    )
    return _outer_frame(problem, predictions, bounds)


def copy_model(source: Path, target: Path) -> None:
    """Copy weights, description and card of a network."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "model.json", "card.md"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


class _Copies:
    """Models of the runs of `Runner`, copied into a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: dict[Path, str] = {}
        """Where a model was found -> where it is, below the folder."""

    def member(self, runner: Runner, task: Task, weight: float, place: str) -> Member:
        """Copy the model of a task to ``place``, where it is not copied yet."""
        is_network, found = FAMILIES[task.candidate.family].is_network, runner.folder_of(task)
        if found not in self.paths:
            self.paths[found] = place if is_network else f"{place}.safetensors"
            target = self.folder / self.paths[found]
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_network:
                copy_model(found / NETWORK, target)
            else:
                shutil.copyfile(found / MODEL, target)
        name = Variant(task.candidate, task.transform, task.epochs).name
        return Member(name=name, weight=weight, path=self.paths[found], is_network=is_network)

    def of_fold(self, runner: Runner, fold: OuterFold, weights: Blend, place: str) -> list[Member]:
        """Copy the models of a blend into the folder ``place``."""
        tasks = {name: fold.variants[name].task((fold.number,)) for name in sorted(weights)}
        return [
            self.member(runner, task, weights[name], f"{place}/{number}")
            for number, (name, task) in enumerate(tasks.items())
        ]


def _blocks(fold: OuterFold, weights: Blend) -> set[str]:
    """Return the names of the blocks that the members of a blend read."""
    settings = [fold.variants[name].candidate.settings for name in weights]
    return {block for one in settings for block in one.get("blocks", ())}


def _outer_frame(
    problem: Problem, predictions: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    """Return the outer predictions of the scored rows with their intervals.

    Rows of the headline are the ``test`` part, those of another kind are ``other``.
    """
    low, high = bounds
    is_headline = np.isin(problem.scored, problem.headline)
    return make_predictions(
        ids=problem.table.ids[problem.scored],
        property_name=problem.target,
        split=np.where(is_headline, "test", "other"),
        y_true=problem.labels[problem.scored],
        y_pred=predictions,
        y_lower=low,
        y_upper=high,
        unit=problem.spec.unit,
    )


def blends_of(outer: Sequence[OuterFold], kind: str) -> tuple[Blend, ...]:
    """Return the blends of all outer folds: ``chosen`` or ``plain``, see `Guarded`."""
    return tuple(getattr(fold.choice, kind) for fold in outer)
