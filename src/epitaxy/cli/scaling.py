"""``epitaxy scaling``, and options that it shares with ``epitaxy budget``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epitaxy.core.errors import InputError, once

Results = Annotated[
    str, typer.Argument(help="CSV file with one row per run, or the folder of a study.")
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="MEANING=NAME of a column: error, target_size, source_size, seed ... (repeat)."
    ),
]
By = Annotated[
    list[str] | None, typer.Option(help="A further column that tells lines apart (repeat).")
]
Where = Annotated[
    list[str] | None, typer.Option(help="COLUMN=VALUE[,VALUE ...] of rows to keep (repeat).")
]
Baseline = Annotated[
    str | None, typer.Option(help="COLUMN=VALUE of runs from scratch; recognised when left out.")
]
Reach = Annotated[
    float, typer.Option(help="How many times the largest size a line may be followed.")
]
Level = Annotated[float, typer.Option(help="Coverage of intervals and bands.")]
Interval = Annotated[
    str, typer.Option(help="sizes: Student's t over sizes; bootstrap: resampled sizes.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.")]


def command(
    results: Results,
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for CSV, Markdown and figures.")] = None,
    wanted: Annotated[float | None, typer.Option(help="Error that is aimed at.")] = None,
    have: Annotated[
        float | None, typer.Option(help="Rows that exist; by default the largest size.")
    ] = None,
    reach: Reach = 10.0,
    column: Column = None,
    by: By = None,
    where: Where = None,
    baseline: Baseline = None,
    interval: Interval = "sizes",
    level: Level = 0.95,
    seed: Seed = 0,
) -> None:
    """Fit how errors fall with rows, how many are missing, and what a transfer was worth."""
    from epitaxy.studies.scaling import scaling

    found = scaling(
        results,
        out,
        wanted=wanted,
        have=have,
        reach=reach,
        columns=assignments(column),
        by=by or (),
        where={key: value.split(",") for key, value in assignments(where).items()},
        baseline=assignment(baseline) if baseline else None,
        interval=interval,
        level=level,
        seed=seed,
    )
    typer.echo(found.text)
    if found.folder is not None:
        typer.echo(f"Folder: {found.folder} (report.md)")


def assignment(text: str) -> tuple[str, str]:
    """Split ``KEY=VALUE``.

    Raises:
        InputError: there is no ``=``.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise InputError(
            f"{text!r} is not of the form COLUMN=VALUE; write for example source=none."
        )
    return key.strip(), value.strip()


def assignments(texts: list[str] | None) -> dict[str, str]:
    """Split several of them.

    Raises:
        InputError: a column comes twice.
    """
    return once((assignment(text) for text in texts or []), "column")
