"""``epitaxy predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epitaxy.cli import options as o
from epitaxy.core.errors import InputError
from epitaxy.core.tables import csv_text

SHOWN = ("id", "property", "y_pred", "y_lower", "y_upper", "unit", "domain")
ELEMENTS = "With --prototype: Sr=Ca,Ba (repeat), or a CSV file of rows under the old elements."
VOLUME = "With --prototype: its cell (prototype), or scaled to usual bond lengths (predicted)."
USAGE = (
    "Prediction needs structures, or a prototype with elements: epitaxy predict RUN FILES..., or "
    "epitaxy predict RUN --prototype FILE --elements Sr=Ca,Ba."
)


def command(
    run: Annotated[str, typer.Argument(help="Run folder or zoo:NAME.")],
    structures: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or tables of crystals; - for standard input."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .csv, .json, .parquet.")] = None,
    prototype: Annotated[
        Path | None, typer.Option(help="Structure file whose elements are replaced.")
    ] = None,
    elements: Annotated[list[str] | None, typer.Option(help=ELEMENTS)] = None,
    volume: Annotated[str, typer.Option(help=VOLUME)] = "prototype",
    *,
    overwrite: o.Replace = False,
) -> None:
    """Predict the properties of new crystals."""
    from epitaxy.recipes import predict as recipes

    if bool(structures) == bool(prototype) or bool(prototype) != bool(elements):
        raise InputError(USAGE)
    if prototype is None:
        frame = recipes.predict(run, structures or [], out, overwrite=overwrite)
    else:
        frame = recipes.predict_prototype(
            run, prototype, elements or [], out, volume=volume, overwrite=overwrite
        )
    if out is None:
        shown = [name for name in SHOWN if name in frame and not frame[name].isna().all()]
        typer.echo(csv_text(frame[shown]), nl=False)
    else:
        typer.echo(f"{frame['id'].nunique()} crystals predicted: {out}")
