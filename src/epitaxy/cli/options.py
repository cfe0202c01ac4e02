"""Options that mean the same in every command that trains."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from epitaxy.core.errors import InputError

if TYPE_CHECKING:
    from epitaxy.recipes.running import Run


class Precision(StrEnum):
    """Precision of the matrix products."""

    full = "32"
    bf16 = "bf16"


DATA_HELP = "Table, folder of structures with a CSV, ASE database, or a named source."
Data = Annotated[str, typer.Argument(help=DATA_HELP)]
Out = Annotated[Path, typer.Option(help="Run folder to write.")]
Split = Annotated[str, typer.Option(help="random, random:SEED, FILE.json or FILE.json:KEY.")]
GroupBy = Annotated[
    str,
    typer.Option(
        help="What stays together where rows are drawn: auto, formula, system, prototype, "
        "structure, none, or a column."
    ),
]
Unit = Annotated[str | None, typer.Option(help="Unit of the target.")]
Transform = Annotated[str | None, typer.Option(help="identity, log or log1p.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with training settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other training setting, KEY=VALUE (repeat)."),
]
Recipe = Annotated[
    str,
    typer.Option(help="How the architecture is trained: default, or published as in the paper."),
]
Units = Annotated[
    str,
    typer.Option(help="physical; published: errors also on the scale of column TARGET_published."),
]
Replace = Annotated[bool, typer.Option("--overwrite", help="Replace files that are not epitaxy's.")]
Overwrite = Annotated[bool, typer.Option(help="Replace a finished run with other settings.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training rows.")]
BatchSize = Annotated[int | None, typer.Option(help="Crystals per step.")]
LearningRate = Annotated[float | None, typer.Option(help="Largest learning rate.")]
PrecisionOption = Annotated[Precision | None, typer.Option(help="Of the matrix products.")]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps; several for a mixture.")
]


def training(
    config: Path | None, assignments: list[str] | None, **options: object
) -> dict[str, object]:
    """Merge a settings file, ``KEY=VALUE`` assignments and options, the later ones winning.

    Raises:
        InputError: an assignment has no ``=``, or a settings file cannot be read.
    """
    from epitaxy.recipes.options import parse_assignments, read_settings

    given = {key: value for key, value in options.items() if value is not None}
    return {**read_settings(config), **parse_assignments(assignments or []), **given}


def whole_numbers(text: str, option: str, example: str) -> list[int]:
    """Turn ``"0,1,2"`` into numbers.

    Raises:
        InputError: a part is not a whole number.

    >>> whole_numbers("256, 256", "--hidden", "64,64")
    [256, 256]
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise InputError(f"{option} {text!r} must be numbers with commas, for example {example}.")
    return [int(part) for part in parts]


def summary(run: Run) -> str:
    """Return the errors of a run as a few lines of text, first of all a baseline not beaten."""
    from epitaxy.reports.baseline import lines_of

    lines = [painted(line) for line in lines_of(run.metrics)]
    for part, properties in run.published.items():
        for name, numbers in properties.items():
            lines.append(f"{part:5s} {name}: {published(numbers)}")
    return "\n".join([*lines, f"Run folder: {run.folder} (report.html)"])


def painted(text: str) -> str:
    """Return text with its lines about a baseline that is not beaten in red.

    ``typer.echo`` takes the colour away where it does not write to a terminal.
    """
    from epitaxy.reports.baseline import OPENINGS

    return "\n".join(
        typer.style(line, fg="red", bold=True) if line.startswith(OPENINGS) else line
        for line in text.splitlines()
    )


def published(numbers: Mapping[str, Any]) -> str:
    """Return the error on the scale of a paper as text."""
    return f"MAE {numbers['mae']:.4g} on the published scale (1.0 is {numbers['unit']})"
