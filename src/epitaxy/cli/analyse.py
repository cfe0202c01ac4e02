"""``epitaxy analyse``: distances between tasks, and what the gates of mixtures chose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epitaxy.cli import options as o

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    no_args_is_help=True, help="Distances between tasks, and what the gates of mixtures chose."
)
Out = Annotated[Path, typer.Option(help="Folder to write.")]


@app.command()
def shift(
    data: o.Data,
    target: Annotated[str, typer.Option(help="Property of the target task.")],
    source: Annotated[
        list[str], typer.Option(help="MODEL[=DATA[:PROPERTY]], what it was trained on (repeat).")
    ],
    out: Out,
    *,
    transform: o.Transform = None,
    group: Annotated[
        str | None, typer.Option(help="Depth group after which features are taken.")
    ] = None,
    closest: Annotated[int, typer.Option(help="How many nearest sources are averaged.")] = 4,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap samples for 95 % intervals; 0 for none.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Measure how far a task is from what models were trained on (CMD)."""
    from epitaxy.recipes.analyse_shift import analyse_shift

    found = analyse_shift(
        data,
        target,
        source,
        out,
        transform=transform,
        group=group,
        closest=closest,
        resamples=resamples,
        seed=seed,
    )
    columns = ["source", "source_rows", "feature_cmd", "label_cmd", "note"]
    typer.echo(_text(found.shifts[columns], digits=4))
    for row in found.nearest.to_dict("records"):
        if row["n"]:
            mean = f"{row['mean_cmd']:.4f}"
            typer.echo(f"mean of the {row['n']} nearest in {row['space']}: {mean}")
    typer.echo(f"Folder: {found.folder} (report.html)")


@app.command()
def gates(
    runs: Annotated[list[str], typer.Argument(help="Folders of mixture runs.")],
    out: Out,
    *,
    sizes: Annotated[
        Path | None,
        typer.Option(help="CSV with source and source_rows (a shift.csv); orders the experts."),
    ] = None,
    top: Annotated[int, typer.Option(help="Heaviest experts that runs are compared by.")] = 4,
) -> None:
    """Collect the gate weights of mixture runs, and say whether seeds agree."""
    from epitaxy.recipes.analyse_gates import analyse_gates

    found = analyse_gates(runs, out, sizes=sizes, top=top)
    typer.echo(_text(found.agreement, digits=2))
    typer.echo(f"Folder: {found.folder} (report.html)")


def _text(frame: pd.DataFrame, digits: int) -> str:
    """Return a table as people read it."""
    return frame.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.{digits}f}")
