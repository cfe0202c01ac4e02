"""``epitaxy matbench``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import typer

from epitaxy.cli.options import Replace, painted, whole_numbers
from epitaxy.core.errors import InputError

DATA = "The data set in the official order, with all rows [matminer:TASK]."
OPTION = "Argument or setting of the recipe (repeat): budget=10m, from_model=zoo:NAME."


def command(
    task: Annotated[str, typer.Argument(help="matbench_phonons, ...: regression on structures.")],
    out: Annotated[Path, typer.Option(help="File of results to write, .json.gz.")],
    recipe: Annotated[str, typer.Option(help="fit, train, finetune, mixture, constant.")] = "fit",
    data: Annotated[str | None, typer.Option(help=DATA)] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", help=OPTION)] = None,
    folds: Annotated[str, typer.Option(help="Folds to run, with commas.")] = "0,1,2,3,4",
    seeds: Annotated[int, typer.Option(help="Runs per fold, of which the mean counts.")] = 1,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the method in the file.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs [OUT.folds].")] = None,
    *,
    overwrite: Replace = False,
) -> None:
    """Run the official folds of a Matbench task and write the file of its leaderboard."""
    from epitaxy.fitting.matbench import matbench
    from epitaxy.recipes.options import parse_assignments

    options = parse_assignments(assignments or [])
    own = set(inspect.signature(matbench).parameters) & set(options)
    if own:
        raise InputError(f"{min(own)!r} is no option of a recipe; give it as --{min(own)}.")
    result = matbench(
        task,
        recipe,
        out,
        data=data,
        folds=whole_numbers(folds, "--folds", "0,1,2"),
        seeds=seeds,
        seed=seed,
        name=name,
        runs=runs,
        overwrite=overwrite,
        **options,
    )
    typer.echo(painted(result.text()))
    if result.path:
        typer.echo(f"Written: {result.path}")
    else:
        typer.echo(f"{out} is written when all five folds are done: run the others too.")
