"""``epitaxy demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo-run"),
) -> None:
    """Fit the shipped data with the shipped models, and predict three other crystals."""
    from epitaxy.fitting.demo import demo

    typer.echo(demo(out).text())
