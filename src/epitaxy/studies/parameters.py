"""What stands for something else in a study file: parameters, and the quick size."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from epitaxy.core.errors import suggestion
from epitaxy.studies.config import PARAMETERS, QUICK, leaves
from epitaxy.studies.expanding import filled, update

PLACE = re.compile(r"\$\{(\w+)\}")
"""``${NAME}`` in a text of a study file."""
JOINED = ("base", "compare")
"""Sections of which the quick size changes single keys; elsewhere it replaces what it names."""
NAMED = ("axes", "sources", PARAMETERS)
"""Sections of named parts, of which the quick size changes some."""
REPLACED = ("exclude",)


class Resolved(NamedTuple):
    """A study file in which nothing stands for something else any more."""

    content: dict[str, Any]
    mistakes: list[str]
    missing: frozenset[str]
    """Parameters without a value; their ``${NAME}`` are still in the content."""


def resolve(content: Mapping[str, Any], given: Mapping[str, Any], *, quick: bool) -> Resolved:
    """Take the quick size, if it is wanted, and put values in the place of all ``${NAME}``.

    Args:
        content: what the study file says.
        given: values of parameters, which replace those of the file.
        quick: whether the section of this name is laid over the others.

    >>> file = {"parameters": {"folder": None}, "base": {"data": "${folder}/ph.parquet"}}
    >>> resolve(file, {"folder": "tables"}, quick=False).content
    {'base': {'data': 'tables/ph.parquet'}}
    """
    mistakes = [
        f"{key!r} must hold lines 'name: value'."
        for key in (PARAMETERS, QUICK)
        if not isinstance(content.get(key, {}), Mapping)
    ]
    if mistakes:
        rest = {key: v for key, v in content.items() if key not in {PARAMETERS, QUICK}}
        return Resolved(rest, mistakes, frozenset())
    used = {name for text in _texts(content) for name in PLACE.findall(text)}
    whole = dict(content)
    small = whole.pop(QUICK, None)
    if quick:
        mistakes += _of_quick(whole, small)
        whole = overlaid(whole, small or {})
    values = {**whole.pop(PARAMETERS, {}), **given}
    known = [*content.get(PARAMETERS, {})]
    missing = {name for name in used if values.get(name) is None}
    mistakes += _of_parameters(known, used, given, missing)
    present = {name: value for name, value in values.items() if name not in missing}
    result: dict[str, Any] = filled(whole, present, PLACE)
    return Resolved(result, mistakes, frozenset(missing))


def overlaid(content: Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the quick size over a study.

    >>> overlaid({"axes": {"size": [500, 800], "k": [1]}}, {"axes": {"size": [10]}})
    {'axes': {'size': [10], 'k': [1]}}
    """
    result = dict(content)
    for key, part in small.items():
        before = content.get(key)
        if not (isinstance(before, Mapping) and isinstance(part, Mapping)):
            result[key] = part
        elif key in JOINED or key == "sources":
            result[key] = update(before, part)
        else:
            result[key] = {**before, **part}
    return result


def without_consequences(mistakes: Collection[str], missing: Collection[str]) -> list[str]:
    """Leave out complaints about texts in which a parameter without a value still stands."""
    return [m for m in mistakes if not any(f"{{{name}}}" in m for name in missing)]


def _of_parameters(
    known: list[str], used: Collection[str], given: Mapping[str, Any], missing: Collection[str]
) -> list[str]:
    sentences = [
        f"There is no parameter {name!r} to be set; the study has "
        f"{', '.join(known) or 'none'}.{suggestion(name, known)}"
        for name in given
        if name not in known
    ]
    for name in sorted(missing):
        if name not in known:
            near = suggestion(name, known)
            sentences.append(f"There is no parameter {name!r} for '${{{name}}}'.{near}")
        else:
            sentences.append(f"The parameter {name!r} needs a value: {_option(name)}.")
    sentences += [f"The parameter {name!r} is used nowhere." for name in known if name not in used]
    return sentences


def _option(name: str) -> str:
    """Return how a parameter is given on the command line."""
    option = {"data_folder": "--data-folder FOLDER", "experts": "--experts MODEL,MODEL,..."}
    return option.get(name, f"--set {name}=VALUE")


def _of_quick(whole: Mapping[str, Any], small: Mapping[str, Any] | None) -> list[str]:
    if small is None:
        return ["The study has no quick size; write what differs under 'quick'."]
    allowed = [*NAMED, *JOINED, *REPLACED]
    sentences = [
        f"quick: there is no section {key!r}.{suggestion(key, allowed)}"
        for key in small
        if key not in allowed
    ]
    for key in NAMED:
        part, before = small.get(key) or {}, whole.get(key) or {}
        sentences += [
            f"quick.{key}: the study has no {name!r}.{suggestion(str(name), map(str, before))}"
            for name in part
            if name not in before
        ]
    return sentences


def _texts(node: Any) -> list[str]:
    return [text for text in leaves(node) if isinstance(text, str)]
