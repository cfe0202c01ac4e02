"""``epitaxy data``: look at data sets, convert, merge and split them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from epitaxy.core.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Look at data sets, convert, merge and split them.")

DATA_HELP = "Table, folder of structures, ASE database, or a named source (matminer:NAME)."
Data = Annotated[str, typer.Argument(help=DATA_HELP)]
MERGE_HELP = (
    "Data sets; NAME=DATA calls the property of DATA by this name, NAME=DATA:PROPERTY picks it."
)
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


class Keep(StrEnum):
    """What happens to values that differ between tables."""

    first = "first"
    mean = "mean"
    refuse = "refuse"


class By(StrEnum):
    """What makes two rows the same crystal."""

    structure = "structure"
    id = "id"


class Method(StrEnum):
    """How a table is split."""

    random = "random"
    kfold = "kfold"
    matbench = "matbench"


@app.command()
def info(
    data: Data,
    target: Annotated[
        str | None, typer.Option(help="Property to look at: missing, extreme, how distributed.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a page with figures of the data.")
    ] = None,
) -> None:
    """Print rows, elements, properties and what was dropped."""
    from epitaxy.structures.info import data_info
    from epitaxy.structures.reading import read_table
    from epitaxy.structures.understanding import understand

    if target is None:
        typer.echo(data_info(data).text())
    else:
        typer.echo("\n".join(understand(read_table(data, target=target), target).lines()))
    if report is not None:
        from epitaxy.reports.data_report import data_report

        typer.echo(f"Page: {data_report(data, report)}")


@app.command()
def convert(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    target: Annotated[list[str] | None, typer.Option(help="Property to keep (repeat).")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="NAME=UNIT, as in gap=eV.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="NAME=WORDS for axes.")] = None,
) -> None:
    """Write any data set as one Parquet table."""
    from epitaxy.structures.reading import convert as convert_data

    table = convert_data(
        data, out, target=target, units=pairs(unit, "unit"), labels=pairs(label, "label")
    )
    typer.echo(f"{len(table)} crystals written to {out}, {len(table.dropped)} dropped.")


@app.command()
def merge(
    data: Annotated[list[str], typer.Argument(help=MERGE_HELP)],
    *,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    by: Annotated[By, typer.Option(help="What makes two rows the same crystal.")] = By.structure,
    keep: Annotated[Keep, typer.Option(help="Which of differing values to keep.")] = Keep.refuse,
    report: Annotated[
        Path | None, typer.Option(help="CSV of merged rows and conflicts [OUT.merges.csv].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one per core.")
    ] = None,
) -> None:
    """Join data sets into one Parquet table: one structure per material, all labels."""
    from epitaxy.structures.merge_files import merge as merge_data

    merged = merge_data(data, out, by=by.value, keep=keep.value, report=report, workers=workers)
    typer.echo(
        f"{len(merged.table)} crystals written to {out}: {len(merged.rows)} rows merged into "
        f"another, {len(merged.conflicts)} conflicting values; both are listed in "
        f"{report or out.with_suffix('.merges.csv')}."
    )


@app.command()
def select(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    *,
    rows: Annotated[
        str | None, typer.Option(help="File of ids, or FILE.json:KEY, as for splits.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Condition, as in 'gap > 0.1 and n_atoms < 20'.")
    ] = None,
) -> None:
    """Write some rows of a data set, a test set for example, as one Parquet table."""
    from epitaxy.structures.deriving import where as where_true
    from epitaxy.structures.reading import convert as convert_data
    from epitaxy.structures.reading import read_table
    from epitaxy.structures.selecting import select as select_rows

    if rows is None and where is None:
        raise InputError("Nothing says which rows are meant; give --rows or --where.")
    table = read_table(data)
    table = table if rows is None else select_rows(table, rows)
    table = table if where is None else where_true(table, where)
    convert_data(table, out)
    typer.echo(f"{len(table)} crystals written to {out}.")


@app.command()
def derive(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    formulas: Annotated[
        list[str], typer.Argument(help="NAME = FORMULA, as in 'e = (exx + eyy + ezz)/3'.")
    ],
    unit: Annotated[list[str] | None, typer.Option(help="NAME=UNIT, as in gap=eV.")] = None,
) -> None:
    """Add properties that follow from others, and write the table."""
    from epitaxy.structures.deriving import derive as derive_properties
    from epitaxy.structures.reading import convert as convert_data
    from epitaxy.structures.reading import read_table

    table = derive_properties(read_table(data), formulas, pairs(unit, "unit"))
    convert_data(table, out)
    typer.echo(f"{len(table)} crystals written to {out}.")


@app.command()
def paper(
    name: Annotated[str, typer.Argument(help="PAPER:SET, as in devi2024:pz; list shows all.")],
    out: Annotated[Path | None, typer.Argument(help="Parquet file to write.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Files of Alexandria, or a table with the source's columns."),
    ] = None,
) -> None:
    """Write a data set of a paper as it was used there, with the property target."""
    from epitaxy.structures.papers import SETS
    from epitaxy.structures.papers import paper as paper_table
    from epitaxy.structures.reading import convert as convert_data

    if name == "list":
        typer.echo(
            "\n".join(f"{key:40s}{made.source}: {made.formula}" for key, made in SETS.items())
        )
        return
    if out is None:
        raise InputError(f"Nothing says where to write {name!r}; name a Parquet file behind it.")
    table = paper_table(name, source)
    convert_data(table, out)
    typer.echo(f"{len(table)} crystals written to {out}, {len(table.dropped)} dropped.")


@app.command()
def split(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    method: Annotated[Method, typer.Option(help="How to split.")] = Method.random,
    k: Annotated[int, typer.Option(help="Number of folds of kfold.")] = 5,
    fractions: Annotated[str, typer.Option(help="Train, val, test of random.")] = "0.8,0.1,0.1",
    grouped: Annotated[bool, typer.Option(help="Keep equal formulas together.")] = True,
    seed: Seed = 0,
) -> None:
    """Write train, val and test ids as JSON."""
    from epitaxy.structures.reading import read_table
    from epitaxy.structures.splits import split as split_table

    made = split_table(
        read_table(data),
        out,
        method=method.value,
        seed=seed,
        grouped=grouped,
        k=k,
        fractions=numbers(fractions),
    )
    sizes = "; ".join("/".join(map(str, s.sizes)) for s in made)
    typer.echo(f"train/val/test {sizes} written to {out}.")


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """Turn ``["gap=eV"]`` into ``{"gap": "eV"}``.

    >>> pairs(["gap=eV"], "unit")
    {'gap': 'eV'}

    Raises:
        InputError: a text has no equals sign.
    """
    for text in texts or ():
        if "=" not in text:
            raise InputError(f"--{option} {text!r} must be NAME=TEXT, for example gap=eV.")
    return {name: value for name, _, value in (text.partition("=") for text in texts or ())}


def numbers(text: str) -> tuple[float, ...]:
    """Turn ``"0.8,0.1,0.1"`` into numbers.

    >>> numbers("0.8,0.1,0.1")
    (0.8, 0.1, 0.1)

    Raises:
        InputError: a part is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--fractions {text!r} must be numbers like 0.8,0.1,0.1.") from error
