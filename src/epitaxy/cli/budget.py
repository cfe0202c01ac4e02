"""``epitaxy budget``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epitaxy.cli import scaling as s

Exponent = Annotated[float | None, typer.Option(help="Exponent; fitted to RESULTS when left out.")]
ErrorOf = Annotated[float | None, typer.Option(help="Standard error of the exponent given.")]


def command(
    cost_target: Annotated[float, typer.Option(help="Cost of one target row.")],
    cost_source: Annotated[float, typer.Option(help="Cost of one source row.")],
    have_target: Annotated[float, typer.Option(help="Target rows that exist.")],
    have_source: Annotated[float, typer.Option(help="Source rows that exist.")],
    results: Annotated[
        str | None,
        typer.Argument(help="CSV file with one row per run, or the folder of a study."),
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for CSV, Markdown and figures.")] = None,
    unit: Annotated[str, typer.Option(help="Unit of costs and budget.")] = "hours",
    budget: Annotated[float | None, typer.Option(help="To spend.")] = None,
    wanted: Annotated[float | None, typer.Option(help="Error whose price is asked for.")] = None,
    error_now: Annotated[
        float | None, typer.Option(help="Error with the rows that exist; fitted when left out.")
    ] = None,
    alpha: Exponent = None,
    beta: Exponent = None,
    alpha_error: ErrorOf = None,
    beta_error: ErrorOf = None,
    targets: Annotated[int, typer.Option(help="Properties that the source rows serve.")] = 1,
    column: s.Column = None,
    by: s.By = None,
    where: s.Where = None,
    baseline: s.Baseline = None,
    interval: s.Interval = "sizes",
    level: s.Level = 0.95,
    reach: s.Reach = 10.0,
    seed: s.Seed = 0,
) -> None:
    """Tell where the next hour of computing should go: source rows or target rows."""
    from epitaxy.studies import budget as b

    found = b.budget(
        results,
        out,
        cost_target=cost_target,
        cost_source=cost_source,
        have_target=have_target,
        have_source=have_source,
        unit=unit,
        budget=budget,
        wanted=wanted,
        error_now=error_now,
        alpha=alpha,
        beta=beta,
        alpha_error=alpha_error,
        beta_error=beta_error,
        targets=targets,
        columns=s.assignments(column),
        by=by or (),
        where={key: value.split(",") for key, value in s.assignments(where).items()},
        baseline=s.assignment(baseline) if baseline else None,
        interval=interval,
        level=level,
        reach=reach,
        seed=seed,
    )
    typer.echo(found.text)
    if found.folder is not None:
        typer.echo(f"Folder: {found.folder} (report.md)")
