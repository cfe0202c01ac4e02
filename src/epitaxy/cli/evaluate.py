"""``epitaxy evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epitaxy.cli import options as o

MEDIANS = {
    "training": "The median is that of the training values.",
    "data": "The median is that of these values: the model has no list of its training rows.",
}


def command(
    run: Annotated[str, typer.Argument(help="Run folder or zoo:NAME.")],
    data: o.Data,
    target: Annotated[str, typer.Option(help="Column with the known values.")],
    out: Annotated[
        Path | None, typer.Option(help="File for the predictions: .parquet, .csv, .json.")
    ] = None,
    units: o.Units = "physical",
    *,
    overwrite: o.Replace = False,
) -> None:
    """Score a model on data with known values."""
    from epitaxy.recipes.evaluate import evaluate
    from epitaxy.reports.baseline import error_text, verdict_of
    from epitaxy.reports.numbers import with_unit

    found = evaluate(run, data, target, out, units=units, overwrite=overwrite)
    for line in [verdict_of(found), error_text(found), MEDIANS[found["baseline"]]]:
        if line:
            typer.echo(o.painted(line))
    if found["dropped"]:
        typer.echo(f"Rows left out: {found['dropped']}")
    typer.echo(f"RMSE {with_unit(found['rmse'], found['unit'], 3)}")
    if found["r2"] is not None:
        typer.echo(f"R2   {found['r2']:.4f}")
    if "published" in found:
        typer.echo(o.published(found["published"]))
