"""Frames of extended XYZ files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from epitaxy.core.elements import NUMBERS, SYMBOLS
from epitaxy.structures.building import UnusableError
from epitaxy.structures.species import element_of

if TYPE_CHECKING:
    from ase import Atoms

MOST_DIGITS = 9
_PROPERTIES = re.compile(r"""(?i)properties=["']?(\S+)""")


def frame_texts(text: str) -> Iterator[str]:
    """Split a file into its frames; what begins with no number of atoms is one last frame."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        count = lines[at].strip()
        if not count and not any(line.strip() for line in lines[at:]):
            return
        known = count.isdecimal() and len(count) <= MOST_DIGITS
        end = at + 2 + int(count) if known else len(lines)
        while end < len(lines) and lines[end].startswith("VEC"):
            end += 1
        yield "\n".join(lines[at:end]) + "\n"
        at = end


def atoms_of_frame(frame: str) -> Atoms:
    """Read one frame; charges and isotopes of species are left out.

    Raises:
        UnusableError: with the reason for the table of dropped entries.
    """
    from ase.io import read

    lines = frame.splitlines()
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise UnusableError("unreadable XYZ frame: its first line must be the number of atoms")
    properties = _PROPERTIES.search(lines[1])
    if properties is None or properties.group(1).lower().startswith("species:s:1"):
        lines[2:] = [_with_plain_symbol(line) for line in lines[2:]]
    try:
        atoms: Atoms = read(io.StringIO("\n".join(lines) + "\n"), index=0, format="extxyz")
    except Exception as error:  # the reader raises anything, even KeyError
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnusableError(f"unreadable XYZ frame: {reason.rstrip('.!')}") from error
    return atoms


def _with_plain_symbol(line: str) -> str:
    word, _, rest = line.strip().partition(" ")
    if not word or word in NUMBERS or word.isdecimal() or line.startswith("VEC"):
        return line
    return f"{SYMBOLS[element_of(word)]} {rest}"
