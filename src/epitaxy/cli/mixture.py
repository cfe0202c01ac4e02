"""``epitaxy mixture``."""

from __future__ import annotations

from typing import Annotated

import typer

from epitaxy.cli import options as o

Experts = Annotated[
    str, typer.Option(help="Run folders, zoo:NAME, zoo:* and descriptors:NAME, with commas.")
]
Count = Annotated[
    int | None, typer.Option("--k", help="How many experts count; all when left out.")
]
Aggregation = Annotated[str, typer.Option(help="add, concat or ensemble.")]
Gate = Annotated[str, typer.Option(help="scores, or composition: weights depend on the elements.")]
Strategy = Annotated[str, typer.Option(help="What trains of each expert; head: nothing of it.")]
Strength = Annotated[float, typer.Option(help="Factor of the regulariser of the gate.")]
Hidden = Annotated[
    str | None,
    typer.Option(help="Widths of hidden layers after the experts, such as 256,256.", metavar="N,N"),
]
Compat = Annotated[str, typer.Option(help="chang2022 repeats accidents of the published code.")]


def command(
    data: o.Data,
    target: Annotated[str, typer.Option(help="Property to learn.")],
    experts: Experts,
    out: o.Out,
    k: Count = None,
    aggregation: Aggregation = "add",
    gate: Gate = "scores",
    strategy: Strategy = "last-conv",
    strength: Strength = 0.01,
    hidden: Hidden = None,
    split: o.Split = "random",
    group_by: o.GroupBy = "auto",
    unit: o.Unit = None,
    transform: o.Transform = None,
    recipe: o.Recipe = "default",
    compat: Compat = "",
    config: o.Config = None,
    epochs: o.Epochs = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    assignments: o.Set = None,
    precision: o.PrecisionOption = None,
    device: o.Device = None,
    seed: o.Seed = None,
    units: o.Units = "physical",
    *,
    overwrite: o.Overwrite = False,
) -> None:
    """Learn a property from many pre-trained models at once."""
    from epitaxy.recipes.mixture import mixture

    what = data, target, experts, out
    run = mixture(
        *what,
        k=k,
        aggregation=aggregation,
        gate=gate,
        strategy=strategy,
        strength=strength,
        hidden=None if hidden is None else o.whole_numbers(hidden, "--hidden", "256,256"),
        split=split,
        group_by=group_by,
        unit=unit,
        transform=transform,
        recipe=recipe,
        compat=compat,
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
        overwrite=overwrite,
    )
    typer.echo(o.summary(run))
