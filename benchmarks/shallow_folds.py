"""Errors of shallow learners on a table, for the benchmarks that choose untuned hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.checkpoints.model_files import load_model, named_models
from epitaxy.core.files import cache_folder
from epitaxy.evaluation.feature_blocks import feature_blocks
from epitaxy.fitting.folds import FOLDS, group_folds
from epitaxy.fitting.leaks import usable_sources
from epitaxy.fitting.setting_up import DESCRIPTORS
from epitaxy.structures.reading import read_table

Blocks = dict[str, np.ndarray]


class Described(NamedTuple):
    """Labelled crystals in five folds of compositions."""

    blocks: Blocks
    labels: np.ndarray
    folds: np.ndarray

    def error(self, learn: Callable[[Blocks, np.ndarray], Callable[[Blocks], np.ndarray]]) -> float:
        """Return the mean absolute error over the folds of what ``learn`` makes of the others."""
        total = 0.0
        for fold in range(FOLDS):
            seen, held = (
                {name: block[rows] for name, block in self.blocks.items()}
                for rows in (self.folds != fold, self.folds == fold)
            )
            model = learn(seen, self.labels[self.folds != fold])
            total += float(np.abs(model(held) - self.labels[self.folds == fold]).sum())
        return total / len(self.labels)


def described(
    path: Path, target: str, rows: int, sources: str | Sequence[str | Path] = ()
) -> Described:
    """Describe up to ``rows`` crystals, also with those sources that know none of the values."""
    table = read_table(path, target=target)
    drawn = np.random.default_rng(0).permutation(len(table))[:rows]
    table = table.select(np.sort(drawn))
    usable = usable_sources(named_models(sources), table, target, most=0).models if sources else {}
    models = {name: load_model(where) for name, where in usable.items()}
    found = feature_blocks(table, DESCRIPTORS, models, cache=cache_folder() / "graphs")
    folds = group_folds([table.formulas[row] for row in found.rows.tolist()], 0)
    return Described(found.values, table.column(target)[found.rows], folds)
