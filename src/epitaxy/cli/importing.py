"""``epitaxy import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of another project.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    kind: Annotated[str, typer.Option(help="cgcnn, alignn or alignn-mpt.")] = "cgcnn",
    property_name: Annotated[
        str | None, typer.Option("--property", help="What it predicts.")
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the prediction.")] = "",
    *,
    overwrite: Annotated[bool, typer.Option(help="Replace what stands there.")] = False,
) -> None:
    """Turn another project's checkpoint into a model folder; nothing in it is executed."""
    from epitaxy.recipes.importing import import_checkpoint

    model = import_checkpoint(
        checkpoint, out, kind=kind, property_name=property_name, unit=unit, overwrite=overwrite
    )
    size = sum(p.numel() for p in model.parameters())
    typer.echo(f"{model.architecture} with {size:,} parameters written to {out}.")
