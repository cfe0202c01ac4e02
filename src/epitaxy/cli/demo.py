"""``epitaxy demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo-run"),
) -> None:
    """Fine-tune a shipped model on the shipped data, against training from scratch."""
    from epitaxy.recipes.demo import demo

    typer.echo(demo(out).text())
