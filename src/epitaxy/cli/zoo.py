"""``epitaxy zoo``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The pre-trained models that are shipped.")


@app.command("list")
def list_models() -> None:
    """Print the names of the models and what they predict."""
    from epitaxy.checkpoints.zoo import zoo_list

    for name, line in zoo_list().items():
        typer.echo(f"zoo:{name}  {line}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="NAME or zoo:NAME.")]) -> None:
    """Print the card of a model: data, error, command that made it."""
    from epitaxy.checkpoints.zoo import zoo_card

    typer.echo(zoo_card(name))
