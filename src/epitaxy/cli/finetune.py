"""``epitaxy finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from epitaxy.cli import options as o
from epitaxy.core.errors import InputError

if TYPE_CHECKING:
    from epitaxy.recipes.best_source import BestSource
    from epitaxy.recipes.running import Run as AnyRun

STRATEGIES = (
    "full, head, regression-head, new-head[:linear], last-conv, two-body, three-body, "
    "layer-decay[:FACTOR] or freeze-to:GROUP; with +new-head[:linear] behind it, with a new head."
)
Strategy = Annotated[str, typer.Option(help=STRATEGIES)]
FROM = "Run folder or zoo:NAME; several with commas, or zoo:*: the validation error decides."
SCALING = "standardise, min-max, none, by the training rows; source: as the source model."
NO_SOURCE = "--from is missing: give a run folder or zoo:NAME (see: epitaxy zoo list)."
USAGE = (
    "Fine-tuning needs the data, --target and --out: "
    "epitaxy finetune DATA --target NAME --from MODEL --out RUN."
)


def command(
    from_model: Annotated[str, typer.Option("--from", help=FROM)],
    data: Annotated[str | None, typer.Argument(help=o.DATA_HELP)] = None,
    target: Annotated[str | None, typer.Option(help="Property to learn.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    strategy: Strategy = "full",
    split: o.Split = "random",
    group_by: o.GroupBy = "auto",
    unit: o.Unit = None,
    transform: o.Transform = None,
    recipe: o.Recipe = "default",
    scaling: Annotated[str | None, typer.Option(help=SCALING)] = None,
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
    show_plan: Annotated[bool, typer.Option(help="Print the transfer plan and stop.")] = False,
) -> None:
    """Fine-tune a trained model on a property."""
    from epitaxy.recipes import best_source, finetune

    if not from_model:
        raise InputError(NO_SOURCE)
    if show_plan:
        typer.echo(finetune.show_plan(from_model, strategy, target=target))
        return
    if data is None or target is None or out is None:
        raise InputError(USAGE)
    verb: Any = best_source.finetune_best if _several(from_model) else finetune.finetune
    outcome = verb(
        data,
        target,
        from_model,
        out,
        strategy=strategy,
        split=split,
        group_by=group_by,
        unit=unit,
        transform=transform,
        recipe=recipe,
        scaling=scaling,
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
    typer.echo(_summary(outcome))


def _several(models: str) -> bool:
    return "," in models or models.endswith("*")


def _summary(outcome: AnyRun | BestSource) -> str:
    """Return the errors of a run; of several, first those of all in a table."""
    from epitaxy.recipes.running import Run

    if isinstance(outcome, Run):
        return o.summary(outcome)
    table = outcome.table.drop(columns="source").to_string(index=False)
    return f"{table}\nBest by validation: {outcome.source}\n{o.summary(outcome.run)}"
