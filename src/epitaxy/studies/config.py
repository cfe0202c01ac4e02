"""`Study`: what a study file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from epitaxy.core.errors import InputError, suggestion
from epitaxy.core.parsing import LARGEST_YAML, parse_yaml, read_bytes
from epitaxy.results.rules import Rules

SOURCE = "source:"
"""Stands before the name of a source where a model is asked for."""
PARAMETERS, QUICK = "parameters", "quick"
"""Sections that are gone when a `Study` is made."""
ESSENTIAL = {"base", "axes", "sources"}
"""Keys without which nothing else can be judged."""


class Choice(NamedTuple):
    """One value of an axis."""

    label: Any
    """What tables show."""
    value: Any
    """What takes the place of ``{AXIS}``, and of the argument that the axis is named after."""
    settings: Mapping[str, Any] | None
    """A partial configuration; None where the axis only has a value."""


class Compare(Rules):
    """What a report averages over, and what it compares with."""

    over: tuple[str, ...] = Field(min_length=1)
    """Axes of repetitions (trials, seeds): means are over them, and their values make pairs."""
    metric: Literal["mae", "rmse", "r2"] = "mae"
    """Error or score that is reported."""


class Study(BaseModel):
    """Runs that differ in named ways.

    >>> study = Study(name="rates", base={"verb": "train"}, axes={"learning_rate": [1e-3, 1e-2]})
    >>> [choice.label for choice in study.choices("learning_rate")]
    [0.001, 0.01]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    """What the study is called."""
    about: str = ""
    """What it finds out, in one sentence."""
    base: dict[str, Any]
    """What all runs have in common: ``verb`` and arguments of the function of that name."""
    axes: dict[str, list[Any] | dict[Any, Any]] = Field(default_factory=dict)
    """Name -> values, or label -> value or partial configuration; runs are all combinations."""
    exclude: tuple[dict[str, Any], ...] = ()
    """Combinations to leave out: axis -> value, or list of values."""
    sources: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name -> complete configuration of a run from which others start (``source:NAME``)."""
    compare: Compare | None = None
    """How a report sums up; none without."""

    def choices(self, axis: str) -> list[Choice]:
        """Return the values of an axis."""
        values = self.axes[axis]
        if isinstance(values, list):
            return [Choice(label=_label(v), value=v, settings=None) for v in values]
        return [
            Choice(label, label, value)
            if isinstance(value, Mapping)
            else Choice(label, value, None)
            for label, value in values.items()
        ]


def read_content(path: Path) -> tuple[dict[str, Any], str]:
    """Return what stands in a study file, and its text.

    Raises:
        InputError: there is no such file, or it is no YAML mapping.
    """
    try:
        text = read_bytes(path, LARGEST_YAML).decode("utf-8-sig")
        content = parse_yaml(text, scientific=True)
    except (OSError, ValueError) as error:
        raise InputError(f"The study file {str(path)!r} cannot be read: {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"The study file {str(path)!r} must hold lines 'key: value'.")
    return content, text


def as_study(content: dict[str, Any]) -> tuple[Study | None, list[str]]:
    """Make a study of the content of a file.

    Returns:
        What it says, and a sentence for each part that is missing, not known or of the wrong kind.
        Such a part is left out if the others can be understood without it; else there is no study.
    """
    try:
        return Study(**content), []
    except ValidationError as error:
        faults: list[dict[str, Any]] = [dict(e) for e in error.errors()]
    sentences = [_sentence(fault) for fault in faults]
    wrong = {fault["loc"][0] for fault in faults}
    if wrong & ESSENTIAL:
        return None, sentences
    rest = {key: value for key, value in content.items() if key not in wrong}
    return Study(**{"name": "nameless", **rest}), sentences


def complaint(path: str | Path, mistakes: list[str]) -> InputError:
    """Return the error that lists all mistakes of a study file."""
    count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    numbered = mistakes if len(mistakes) == 1 else [f"({i}) {m}" for i, m in enumerate(mistakes, 1)]
    return InputError(
        f"The study file {str(path)!r} has {count}, and nothing was started: {' '.join(numbered)}"
    )


def leaves(node: Any) -> Iterator[Any]:
    """Yield all values of nested lists and mappings."""
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from leaves(part)
    else:
        yield node


def _label(value: Any) -> Any:
    """Return a value as tables show it: lists and mappings as text."""
    if not isinstance(value, list | dict):
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()


def _sentence(error: dict[str, Any]) -> str:
    where = [str(part) for part in error["loc"]]
    key = ".".join(where)
    if error["type"] == "extra_forbidden":
        known = list(Compare.model_fields)
        if len(where) == 1:
            known = [*Study.model_fields, PARAMETERS, QUICK]
        return f"There is no key {key!r}.{suggestion(where[-1], known)}"
    if error["type"] == "missing":
        return f"The key {key!r} is missing."
    return f"{key!r} is {error['input']!r}: {error['msg']}."
