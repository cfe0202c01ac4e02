"""The program `epitaxy`: mounts the commands, turns errors into sentences and exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections import Counter
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any

import typer

from epitaxy.cli import (
    analyse,
    budget,
    data,
    demo,
    evaluate,
    exporting,
    finetune,
    fit,
    importing,
    matbench,
    mixture,
    predict,
    scaling,
    study,
    train,
    zoo,
)
from epitaxy.core.errors import InputError
from epitaxy.core.memory import check_memory_limit, is_exhausted, keep_freed_memory

app = typer.Typer(
    name="epitaxy",
    help="Transfer learning of materials properties.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command("fit")(fit.command)
app.command("train")(train.command)
app.command("finetune")(finetune.command)
app.command("mixture")(mixture.command)
app.command("predict")(predict.command)
app.command("evaluate")(evaluate.command)
app.add_typer(analyse.app, name="analyse")
app.add_typer(study.app, name="study")
app.command("scaling")(scaling.command)
app.command("budget")(budget.command)
app.command("matbench")(matbench.command)
app.command("import")(importing.command)
app.command("export")(exporting.command)
app.add_typer(zoo.app, name="zoo")
app.command("demo")(demo.command)

UsageError: Any = typer.BadParameter.__base__
"""What Typer raises for a wrong command line; it has no public name for it."""
INTERRUPTED = 130
"""What Typer returns after Ctrl-C."""


def program() -> Any:
    """Return the command line; an option that takes one value is refused when it comes twice."""
    found = typer.main.get_command(app)
    waiting: list[Any] = [found]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        command.parse_args = partial(_parse, command, command.parse_args)
    return found


def _parse(command: Any, parse: Any, context: Any, arguments: list[str]) -> Any:
    _, _, given = command.make_parser(context).parse_args(args=list(arguments))
    for option, times in Counter(given).items():
        if times > 1 and option.param_type_name == "option" and not option.multiple:
            message = f"{option.opts[0]} is given {times} times; it takes one value"
            raise UsageError(message, context)
    return parse(context, arguments)


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
    check_memory_limit()
    keep_freed_memory()
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
        code = program()(arguments, prog_name="epitaxy", standalone_mode=False)
    except InputError as error:
        _complain(str(error))
        code = 2
    except UsageError as error:
        # A group without a command has printed its help instead of a message.
        if error.format_message():
            command = error.ctx.command_path if error.ctx else "epitaxy"
            _complain(f"{error.format_message().rstrip('.')}; see: {command} --help")
        code = 2
    except Exception as error:  # noqa: BLE001 - the last line of defence prints everything
        code = _unexpected(error)
    if code == INTERRUPTED:
        _complain("stopped; the same command continues where it was.")
    sys.exit(code or 0)


def _unexpected(error: Exception) -> int:
    """Say what went wrong and return the exit code."""
    if is_exhausted(error):
        _complain(
            f"there was not enough memory ({str(error) or type(error).__name__}); close other "
            "programs, raise the limit (ulimit -v), or take smaller batches or a smaller model."
        )
        return 2
    traceback.print_exception(error)
    _complain("this is a fault of the program; please report the lines above.")
    return 1


def _complain(sentence: str) -> None:
    typer.echo(f"epitaxy: {' '.join(sentence.split())}", err=True)
