"""What the analyses share: names that differ, and where they may write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from epitaxy.core.errors import InputError
from epitaxy.core.files import check_output_folder

MODEL = "model.json"
"""Only folders of models and runs hold this file."""


def analysis_folder(out: str | Path, inputs: Iterable[object]) -> Path:
    """Return ``out`` as a path; writing replaces that folder, so nothing of value may be in it.

    Args:
        out: folder to write.
        inputs: what is read; only texts and paths are looked at.

    Raises:
        InputError: ``out`` is not ours to replace, is a model or run, or holds one of the inputs.
    """
    folder = check_output_folder(out)
    if (folder / MODEL).exists():
        raise InputError(
            f"The output folder {str(folder)!r} holds a model or a run; give another folder."
        )
    target = folder.resolve()
    for given in inputs:
        if not isinstance(given, str | Path):
            continue
        place = Path(given).expanduser().resolve()
        if target == place or target in place.parents:
            raise InputError(
                f"The output folder {str(folder)!r} is or holds the input {str(given)!r}, which "
                "would be lost; give another folder."
            )
    return folder


def first_distinct(*namings: list[str]) -> list[str]:
    """Return the first list of names without repetition; else the last one, numbered.

    >>> first_distinct(["gap", "gap"], ["gap (a)", "gap (b)"])
    ['gap (a)', 'gap (b)']
    >>> first_distinct(["gap", "gap"])
    ['1:gap', '2:gap']
    """
    for names in namings:
        if len(set(names)) == len(names):
            return names
    return [f"{number}:{name}" for number, name in enumerate(namings[-1], 1)]


def short_name(data: str) -> str:
    """Return what is left of the name of a data set without folders and ending.

    >>> short_name("tables/phonons.parquet"), short_name("demo:semiconductors")
    ('phonons', 'demo:semiconductors')
    """
    return Path(data).stem or data
