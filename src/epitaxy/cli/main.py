"""The program `epitaxy`: mounts the commands, turns errors into sentences and exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from epitaxy.cli import data, demo, evaluate, finetune, importing, predict, train, zoo
from epitaxy.core.errors import InputError

app = typer.Typer(
    name="epitaxy",
    help="Transfer learning of materials properties.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command("train")(train.command)
app.command("finetune")(finetune.command)
app.command("predict")(predict.command)
app.command("evaluate")(evaluate.command)
app.command("import")(importing.command)
app.add_typer(zoo.app, name="zoo")
app.command("demo")(demo.command)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"epitaxy {version('epitaxy')}")
        raise typer.Exit


@app.callback()
def settings(
    *,
    quiet: Annotated[bool, typer.Option(help="Say nothing but results and errors.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Set up messages; they go to standard error, results to standard output."""
    del show_version  # its callback has done the work
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("epitaxy")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.WARNING if quiet else logging.INFO)


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 2 wrong input (one sentence), 1 our fault."""
    if not sys.warnoptions:
        # Warnings of libraries are for developers; users get sentences.
        warnings.simplefilter("ignore")
    try:
        app(arguments)
    except InputError as error:
        typer.echo(f"epitaxy: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        typer.echo("epitaxy: stopped; the same command continues where it was.", err=True)
        sys.exit(130)
    except Exception:  # noqa: BLE001 - the last line of defence prints everything
        traceback.print_exc()
        typer.echo(
            "epitaxy: this is a fault of the program; please report the lines above.", err=True
        )
        sys.exit(1)
