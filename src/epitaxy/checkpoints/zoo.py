"""The models of the zoo, shipped and pulled, and their cards."""

from __future__ import annotations

from epitaxy.checkpoints.model_files import ZOO, model_folder, pulled_names, zoo_names


def zoo_list() -> dict[str, str]:
    """Return the names of the shipped models with the first sentence of their cards."""
    return {name: _first_sentence(zoo_card(name)) for name in zoo_names()}


def pulled_list() -> dict[str, str]:
    """Return the names of the pulled models with the first sentence of their cards."""
    return {name: _first_sentence(zoo_card(name)) for name in pulled_names()}


def zoo_card(name: str) -> str:
    """Return the card of ``NAME`` or ``zoo:NAME`` (Markdown); empty if a pulled model has none.

    Raises:
        InputError: there is no such model.
    """
    card = model_folder(ZOO + name.removeprefix(ZOO)) / "card.md"
    return card.read_text(encoding="utf-8") if card.is_file() else ""


def _first_sentence(card: str) -> str:
    body = [line for line in card.splitlines() if line and not line.startswith("#")]
    return body[0] if body else ""
