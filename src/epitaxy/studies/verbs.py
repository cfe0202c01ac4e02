"""What a run of a study can be, and how one is executed in this process."""

from __future__ import annotations

import inspect
import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from epitaxy.core.registry import Registry
from epitaxy.recipes.running import Run, without_reports
from epitaxy.studies.expanding import TABLE_VERBS
from epitaxy.studies.subsets import Subset, subset_split
from epitaxy.studies.tables import is_drawn, labelled_table, read_selections, split_of

VERBS = Registry(
    "verb",
    {
        "train": "epitaxy.recipes.train:train",
        "finetune": "epitaxy.recipes.finetune:finetune",
        "mixture": "epitaxy.recipes.mixture:mixture",
        "merge": "epitaxy.studies.tables:merge_tables",
    },
)
"""Verb -> function that trains a model and writes its run folder, or makes a table."""
SUBSET = "subset"
"""Argument of every verb that trains: `Subset` of the training rows."""
DECIDED = {"out", "overwrite", "options"}
"""What the study decides, and the single training settings, which stand in ``training``."""


@cache
def parameters(verb: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of the function of a verb that a study may set.

    >>> list(parameters("finetune"))[:3]
    ['data', 'target', 'from_model']
    """
    found = inspect.signature(VERBS[verb], eval_str=True).parameters
    return {name: p for name, p in found.items() if name not in DECIDED}


@cache
def arguments_of() -> Mapping[str, frozenset[str]]:
    """Return the arguments that each verb takes in a study."""
    return {
        verb: frozenset(parameters(verb)) | (set() if verb in TABLE_VERBS else {SUBSET})
        for verb in VERBS
    }


def run_verb(verb: str, arguments: Mapping[str, Any], out: Path) -> Run | None:
    """Execute one run, continue it, or open it when it is finished; None for a table.

    The outcome does not depend on what this process did before. The run folder has no report:
    of many runs, nobody reads them one by one, and they would take most of the time of small ones.

    Raises:
        InputError: as the function of the verb.
    """
    # Whatever draws from the generators of libraries starts where it would in a new process.
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - this is the generator of libraries
    torch.manual_seed(0)
    given = dict(arguments)
    if "exclude_like" in given:
        given["exclude_like"] = read_selections(given["exclude_like"])
    subset = given.pop(SUBSET, None)
    if subset is not None:
        given["split"] = subset_split(Subset(**subset), given)
    elif is_drawn(given.get("split")):
        given["split"] = split_of(given, labelled_table(given))
    with without_reports():
        run: Run | None = VERBS[verb](**given, out=out)
    return run
