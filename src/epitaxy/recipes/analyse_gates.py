"""`analyse_gates`: which experts mixture runs chose, and whether seeds agree on it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.errors import InputError
from epitaxy.recipes.analysing import analysis_folder, first_distinct, short_name
from epitaxy.recipes.workspace import read_config
from epitaxy.reports.gate_report import write_gate_report
from epitaxy.results.gates import TOP, RunGates, gate_table

logger = logging.getLogger("epitaxy")
SIZE_COLUMNS = ["source", "source_rows"]
"""Of a file of sizes; ``shift.csv`` has them."""


class GateAnalysis(NamedTuple):
    """What `analyse_gates` found."""

    gates: pd.DataFrame
    """One row per run, one column per expert, see `gate_table`."""
    agreement: pd.DataFrame
    """One row per task, see `results.gates.agreement`."""
    folder: Path


def analyse_gates(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    sizes: Mapping[str, float] | str | Path | None = None,
    top: int = TOP,
) -> GateAnalysis:
    """Collect the gate weights of mixture runs by task, and compare the runs of each task.

    A task is what the configurations of runs call data and target; its runs should differ in the
    seed alone.

    Args:
        runs: folders of mixture runs.
        out: folder to write: ``gates.csv``, ``agreement.csv``, ``figures/``, ``report.html``.
        sizes: expert -> number of crystals that it was trained on, or a CSV file with the columns
            ``source`` and ``source_rows`` (``shift.csv``); orders the experts.
        top: how many of the heaviest experts are compared between runs.

    Raises:
        InputError: there is no run, one of them is no mixture or stands there twice, or ``out`` or
            ``sizes`` cannot be used.
    """
    folders = [Path(run) for run in runs]
    if not folders:
        raise InputError("No run was named; give the folders of mixture runs.")
    twice = [f for f, n in Counter(folder.resolve() for folder in folders).items() if n > 1]
    if twice:
        raise InputError(f"The run {str(twice[0])!r} stands there twice; name it once.")
    out = analysis_folder(out, [*folders, sizes])
    known = _read_sizes(sizes) if isinstance(sizes, str | Path) else sizes
    configs = [_config(folder) for folder in folders]
    names = first_distinct([f.name for f in folders], [str(f) for f in folders])
    read = [
        RunGates(name, task, config.get("training", {}).get("seed"), gate_weights(folder))
        for name, folder, task, config in zip(
            names, folders, task_names(configs), configs, strict=True
        )
    ]
    _warn(read, configs)
    table = gate_table(read)
    return GateAnalysis(table, write_gate_report(out, table, known, top=top), out)


def gate_weights(run: str | Path) -> dict[str, float]:
    """Return the weights that the gate of a mixture run gives to its experts.

    Raises:
        InputError: there is no model, or it is no mixture.
    """
    model = load_model(run)
    weights = model.encoder.gate_weights()
    if not weights:
        raise InputError(
            f"The run {str(run)!r} is a {model.architecture}, which has no gate; give mixture runs."
        )
    return weights


def task_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one name per run, equal for runs of the same data and target, as short as possible.

    >>> phonons = {"data": "a/phonons.parquet", "target": ["target"]}
    >>> task_names([phonons, {"data": "a/gaps.parquet", "target": ["target"]}, phonons])
    ['target (phonons)', 'target (gaps)', 'target (phonons)']
    """
    keys = [(", ".join(config["target"]), str(config["data"])) for config in configs]
    tasks = list(dict.fromkeys(keys))
    names = first_distinct(
        [target for target, _ in tasks],
        [f"{target} ({short_name(data)})" for target, data in tasks],
        [f"{target} ({data})" for target, data in tasks],
    )
    return [names[tasks.index(key)] for key in keys]


def _config(folder: Path) -> Mapping[str, Any]:
    config = read_config(folder)
    if not isinstance(config.get("target"), list) or "data" not in config:
        raise InputError(
            f"{str(folder)!r} is not the folder of a finished run: its config.yaml does not say "
            "data and target."
        )
    return config


def _warn(runs: Sequence[RunGates], configs: Sequence[Mapping[str, Any]]) -> None:
    """Say where a table of weights, or a mean of them, does not tell the whole story."""
    for run, config in zip(runs, configs, strict=True):
        if config.get("gate") == "composition" or config.get("aggregation") == "concat":
            logger.warning(
                "The mixture %s has the gate %s and the aggregation %s: its weights are those of "
                "the scores alone, which is not all that decides.",
                run.run,
                config.get("gate"),
                config.get("aggregation"),
            )
    times = Counter((run.task, run.seed) for run in runs)
    for (task, seed), n in times.items():
        if n > 1:
            logger.warning(
                "%d runs of %s have the seed %s, so they differ in other settings; their mean "
                "mixes these.",
                n,
                task,
                seed,
            )


def _read_sizes(path: str | Path) -> dict[str, float]:
    """Read expert -> number of crystals; what is not known is left out."""
    try:
        frame = pd.read_csv(path, dtype={"source": str})[SIZE_COLUMNS].dropna()
        return {name: float(size) for name, size in frame.to_numpy()}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"The file {str(path)!r} is no CSV table with the columns "
            f"{' and '.join(SIZE_COLUMNS)}; give the shift.csv of an analysis, or write one."
        ) from error
