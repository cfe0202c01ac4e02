"""Errors that the user can repair, and the sentences that say how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Something the user gave is wrong; the message is one sentence that says how to repair it.

    The command line prints the message without a traceback and ends with exit code 2.
    """


class DiskError(InputError):
    """A file or folder could not be written: full, not permitted, gone."""


def suggestion(name: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest allowed name, or an empty string.

    >>> suggestion("gpa", ["gap", "density"])
    " Did you mean 'gap'?"
    >>> suggestion("volume", ["gap"])
    ''
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(name.lower(), {a.lower() for a in allowed}, n=1, cutoff=0.5)
    if not near:
        return ""
    original = next(a for a in allowed if a.lower() == near[0])
    return f" Did you mean {original!r}?"


def once(pairs: Iterable[tuple[str, T]], what: str) -> dict[str, T]:
    """Turn pairs of a name and a value into a dictionary.

    Raises:
        InputError: a name is given twice, and one of its values would be lost.

    >>> once([("gap", "eV"), ("gap", "meV")], "unit of")
    Traceback (most recent call last):
    epitaxy.core.errors.InputError: The unit of 'gap' is given twice; give it once.
    """
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"The {what} {name!r} is given twice; give it once.")
        found[name] = value
    return found


def unknown(kind: str, name: str, allowed: Iterable[str]) -> InputError:
    """Build the error for a name that is not in a list of allowed names.

    >>> str(unknown("model", "cgcn", ["cgcnn", "alignn"]))
    "Unknown model 'cgcn'; allowed: alignn, cgcnn. Did you mean 'cgcnn'?"
    """
    names = sorted(allowed)
    listed = ", ".join(names) if names else "none"
    return InputError(f"Unknown {kind} {name!r}; allowed: {listed}.{suggestion(name, names)}")
