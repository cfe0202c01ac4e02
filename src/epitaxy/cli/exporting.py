"""``epitaxy export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[str, typer.Argument(help="Run folder or zoo:NAME.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    kind: Annotated[str, typer.Option(help="Format of the checkpoint: alignn.")] = "alignn",
    *,
    overwrite: Annotated[bool, typer.Option(help="Replace the file that stands there.")] = False,
) -> None:
    """Write a model as a checkpoint of another project."""
    from epitaxy.recipes.exporting import export_checkpoint

    export_checkpoint(run, out, kind=kind, overwrite=overwrite)
    typer.echo(f"{run} written to {out} ({kind}).")
