"""``epitaxy train``."""

from __future__ import annotations

from typing import Annotated

import typer

from epitaxy.cli import options as o

Encoder = Annotated[
    list[str] | None, typer.Option(help="Setting of the architecture, KEY=VALUE (repeat).")
]
Graph = Annotated[list[str] | None, typer.Option(help="Setting of the graphs, KEY=VALUE (repeat).")]
ExcludeProperty = Annotated[
    list[str] | None, typer.Option(help="Property that '*' does not mean (repeat).")
]
ExcludeRows = Annotated[
    str | None, typer.Option(help="Crystals to leave out: file of ids, or FILE.json:KEY.")
]
ExcludeLike = Annotated[
    list[str] | None, typer.Option(help="Table whose materials are left out (repeat).")
]


def command(
    data: o.Data,
    target: Annotated[
        list[str], typer.Option(help="Property to learn (repeat for several, or '*' for all).")
    ],
    out: o.Out,
    model: Annotated[str, typer.Option(help="Architecture.")] = "cgcnn",
    split: o.Split = "random",
    group_by: o.GroupBy = "auto",
    unit: o.Unit = None,
    transform: o.Transform = None,
    recipe: o.Recipe = "default",
    config: o.Config = None,
    epochs: o.Epochs = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    assignments: o.Set = None,
    encoder: Encoder = None,
    graph: Graph = None,
    precision: o.PrecisionOption = None,
    device: o.Device = None,
    seed: o.Seed = None,
    units: o.Units = "physical",
    exclude_property: ExcludeProperty = None,
    exclude_rows: ExcludeRows = None,
    exclude_like: ExcludeLike = None,
    *,
    overwrite: o.Overwrite = False,
) -> None:
    """Train a model from scratch."""
    from epitaxy.recipes.options import parse_assignments
    from epitaxy.recipes.train import train

    run = train(
        data,
        target,
        out,
        model=model,
        split=split,
        group_by=group_by,
        unit=unit,
        transform=transform,
        recipe=recipe,
        encoder=parse_assignments(encoder or ()),
        graph=parse_assignments(graph or ()),
        training=o.training(
            config,
            assignments,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            precision=precision,
            device=device,
            seed=seed,
        ),
        units=units,
        exclude_property=exclude_property or (),
        exclude_rows=exclude_rows,
        exclude_like=exclude_like or (),
        overwrite=overwrite,
    )
    typer.echo(o.summary(run))
