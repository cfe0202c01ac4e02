"""``epitaxy predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[str, typer.Argument(help="Run folder or zoo:NAME.")],
    structures: Annotated[list[str], typer.Argument(help="Files, folders or tables of crystals.")],
    out: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
) -> None:
    """Predict the properties of new crystals."""
    from epitaxy.recipes.predict import predict

    frame = predict(run, structures, out)
    if out is None:
        typer.echo(frame[["id", "property", "y_pred", "unit"]].to_csv(index=False), nl=False)
    else:
        typer.echo(f"{frame['id'].nunique()} crystals predicted: {out}")
