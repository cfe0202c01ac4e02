"""`read_study`: from a file, or the name of a study that is shipped, to a `Study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from epitaxy.core.errors import InputError, suggestion
from epitaxy.studies.config import PARAMETERS, QUICK, Study, as_study, read_content
from epitaxy.studies.expanding import combinations
from epitaxy.studies.parameters import resolve


class StudyFile(NamedTuple):
    """A study file that was read."""

    study: Study | None
    """What it says; None when it cannot be understood."""
    mistakes: list[str]
    """A sentence for each part that is missing, not known or of the wrong kind."""
    missing: frozenset[str]
    """Parameters without a value."""
    text: str
    """A file that says the same without parameters and quick size."""


class ReadyStudy(NamedTuple):
    """A study that is shipped."""

    name: str
    about: str
    needs: tuple[str, ...]
    """Parameters that must be given."""
    size: int
    """Combinations of axis values."""
    quick_size: int
    """The same of its quick size."""


def read_study(
    study: str | Path, given: Mapping[str, Any] | None = None, *, quick: bool = False
) -> StudyFile:
    """Read a study.

    Args:
        study: YAML file, or name of a study that is shipped.
        given: values of its parameters.
        quick: take the quick size.

    Raises:
        InputError: there is no such file or study, or it is no YAML mapping.
    """
    content, text = read_content(study_path(study))
    resolved = resolve(content, given or {}, quick=quick)
    made, faults = as_study(resolved.content)
    if content.keys() & {PARAMETERS, QUICK}:
        text = yaml.safe_dump(resolved.content, sort_keys=False, width=100)
    return StudyFile(made, [*resolved.mistakes, *faults], resolved.missing, text)


def study_path(study: str | Path) -> Path:
    """Return the file of a study.

    Raises:
        InputError: there is no such file, and no shipped study of that name.
    """
    path, name = Path(study), str(study)
    if path.is_file():
        return path
    names = ready_names()
    if name in names:
        return _ready_folder() / f"{name}.yaml"
    nearby = [str(p) for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    raise InputError(
        f"There is no study file {name!r}, and no study of that name is shipped; these are: "
        f"{', '.join(names)}.{suggestion(name, [*names, *nearby])}"
    )


def show_study(name: str | Path) -> str:
    """Return the text of a study, for example of one that is shipped, to be copied and changed.

    Raises:
        InputError: as `study_path`.
    """
    return study_path(name).read_text(encoding="utf-8")


def ready_names() -> list[str]:
    """Return the names of the studies that are shipped.

    >>> "pair-wise" in ready_names()
    True
    """
    return sorted(path.stem for path in _ready_folder().glob("*.yaml"))


def ready_studies() -> Sequence[ReadyStudy]:
    """Return what studies are shipped, and how large each is."""
    found = []
    for name in ready_names():
        content, _ = read_content(_ready_folder() / f"{name}.yaml")
        parameters = content.get(PARAMETERS, {})
        needs = tuple(key for key, value in parameters.items() if value is None)
        counts = [_size(name, quick=quick) for quick in (False, True)]
        found.append(ReadyStudy(name, content["about"], needs, *counts))
    return found


def _size(name: str, *, quick: bool) -> int:
    study = read_study(name, quick=quick).study
    assert study is not None
    return sum(1 for _ in combinations(study, ()))


def _ready_folder() -> Path:
    return Path(str(files("epitaxy") / "studies" / "ready"))
