"""``epitaxy zoo``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Pre-trained models: those shipped, and others.")
SOURCE = "hub:OWNER/NAME[@REVISION], or https address of an archive or (with / at its end) folder."
SHA256 = "Checksum of the archive, or of checksums.json of a folder; needed for addresses."
TARGET = "New folder, for a web server; or hub:OWNER/NAME."


@app.command("list")
def list_models() -> None:
    """Print the names of the models and what they predict."""
    from epitaxy.checkpoints.zoo import pulled_list, zoo_list

    for name, line in {**zoo_list(), **pulled_list()}.items():
        typer.echo(f"zoo:{name}  {line}")


@app.command()
def show(name: Annotated[str, typer.Argument(help="NAME or zoo:NAME.")]) -> None:
    """Print the card of a model: data, error, command that made it."""
    from epitaxy.checkpoints.zoo import zoo_card

    typer.echo(zoo_card(name))


@app.command()
def pull(
    source: Annotated[str, typer.Argument(help=SOURCE)],
    sha256: Annotated[str | None, typer.Option("--sha256", help=SHA256)] = None,
    name: Annotated[str | None, typer.Option(help="Name here [last part of SOURCE].")] = None,
    *,
    overwrite: Annotated[bool, typer.Option(help="Replace a model of this name.")] = False,
) -> None:
    """Bring a model that others share into the local zoo."""
    from epitaxy.checkpoints.sharing import zoo_pull

    pulled = zoo_pull(source, sha256=sha256, name=name, overwrite=overwrite)
    typer.echo(f"{pulled.place} is ready (see: epitaxy zoo show {pulled.place}).")


@app.command()
def push(
    model: Annotated[str, typer.Argument(help="Run folder or zoo:NAME.")],
    target: Annotated[str, typer.Argument(help=TARGET)],
    licence: Annotated[str, typer.Option(help="Licence of the weights, such as mit.")] = "",
    description: Annotated[str, typer.Option(help="A sentence for the card.")] = "",
) -> None:
    """Write a model with a card and checksums, for others to pull."""
    from epitaxy.checkpoints.sharing import zoo_push

    pushed = zoo_push(model, target, licence=licence, description=description)
    typer.echo(f"Written: {pushed.place}\nsha256 of checksums.json: {pushed.sha256}")
