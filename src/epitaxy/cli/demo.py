"""``epitaxy demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epitaxy.cli.options import painted


def command(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo-run"),
) -> None:
    """Fit the shipped data with the shipped models, and predict three other crystals."""
    from epitaxy.fitting.demo import demo

    typer.echo(painted(demo(out).text()))
