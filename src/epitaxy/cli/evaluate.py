"""``epitaxy evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epitaxy.cli import options as o


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

    found = evaluate(run, data, target, out, units=units, overwrite=overwrite)
    unit = f" {found['unit']}" if found["unit"] else ""
    typer.echo(f"MAE  {found['mae']:.4g}{unit} (n = {found['n']}, {found['dropped']} left out)")
    if found["mae_interval"] is not None:
        low, high = found["mae_interval"]
        typer.echo(f"     95 % interval {low:.4g} to {high:.4g}{unit}")
    typer.echo(f"RMSE {found['rmse']:.4g}{unit}")
    if found["r2"] is not None:
        typer.echo(f"R2   {found['r2']:.4f}")
    if "published" in found:
        typer.echo(o.published(found["published"]))
