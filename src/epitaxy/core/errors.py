"""Errors that the user can repair, and the sentences that say how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def unknown(kind: str, name: str, allowed: Iterable[str]) -> InputError:
    """Build the error for a name that is not in a list of allowed names.

    >>> str(unknown("model", "cgcn", ["cgcnn", "alignn"]))
    "Unknown model 'cgcn'; allowed: alignn, cgcnn. Did you mean 'cgcnn'?"
    """
    names = sorted(allowed)
    listed = ", ".join(names) if names else "none"
    return InputError(f"Unknown {kind} {name!r}; allowed: {listed}.{suggestion(name, names)}")
