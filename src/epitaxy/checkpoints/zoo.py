"""The shipped models and their cards."""

from __future__ import annotations

from epitaxy.checkpoints.model_files import ZOO, model_folder, zoo_folder, zoo_names


def zoo_list() -> dict[str, str]:
    """Return the names of the shipped models with the first sentence of their cards."""
    return {name: _first_sentence(zoo_card(name)) for name in zoo_names()}


def zoo_card(name: str) -> str:
    """Return the card of ``NAME`` or ``zoo:NAME`` (Markdown).

    Raises:
        InputError: there is no such model.
    """
    folder = model_folder(ZOO + name.removeprefix(ZOO))
    return (zoo_folder() / folder.name / "card.md").read_text(encoding="utf-8")


def _first_sentence(card: str) -> str:
    body = [line for line in card.splitlines() if line and not line.startswith("#")]
    return body[0] if body else ""
