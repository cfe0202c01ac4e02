"""``epitaxy fit``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from epitaxy.cli import options as o


def command(
    data: o.Data,
    target: Annotated[str, typer.Option(help="Property to learn.")],
    out: o.Out,
    budget: Annotated[
        str | None, typer.Option(help="90s, 30m, 2h; by the number of rows when left out.")
    ] = None,
    candidates: Annotated[str, typer.Option(help="Families with commas, or all.")] = "all",
    sources: Annotated[
        str, typer.Option(help="Trained models: run folders, zoo:NAME, zoo:*, with commas.")
    ] = "zoo:*",
    unit: o.Unit = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="Processes that work at a time; one per core.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Of everything, with other folds; 1 to 3 by the budget.")
    ] = None,
    *,
    tune: Annotated[
        bool, typer.Option(help="Also seek hyperparameters of the best candidates (Optuna).")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what was understood, and stop.")] = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Find the best model for a property, with its honest error."""
    from epitaxy.fitting.fit import fit, prepare_fit

    settings: dict[str, Any] = {
        "budget": budget,
        "candidates": candidates,
        "sources": sources,
        "unit": unit,
        "seed": seed,
        "threads": threads,
        "repeats": repeats,
        "tune": tune,
    }
    if dry_run:
        typer.echo("\n".join(prepare_fit(data, target, **settings).understood))
        return
    found = fit(data, target, out, overwrite=overwrite, **settings)
    typer.echo(o.painted(found.text()))
