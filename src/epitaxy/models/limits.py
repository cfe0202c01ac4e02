"""How large a network may be that a file or a user describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epitaxy.core.errors import InputError

WIDEST = 1 << 16
"""Largest width, and any other whole number of a description."""
MOST_LAYERS = 128
MOST_PARTS = 256
"""Entries of a list: hidden layers, experts."""
FINEST = 1e-3
"""Å; smallest spacing of basis functions."""


def check_size(settings: Any, name: str = "encoder") -> None:
    """Refuse the description of a network that nobody can build.

    Args:
        settings: what `Encoder.settings` returned, or came from a file in its place.
        name: what the settings are called.

    Raises:
        InputError: a number is too large, or a list too long.

    >>> check_size({"width": 64, "layers": 1_000_000})
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: The setting layers = 1000000 of a network is out of range; \
0 to 128 are allowed.
    """
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            check_size(value, str(key))
    elif isinstance(settings, list | tuple):
        if len(settings) > MOST_PARTS:
            raise _out_of_range(name, f"a list of {len(settings)}", f"at most {MOST_PARTS}")
        for value in settings:
            check_size(value, name)
    elif isinstance(settings, int):
        most = MOST_LAYERS if name.endswith("layers") else WIDEST
        if not 0 <= settings <= most:
            raise _out_of_range(name, str(settings), f"0 to {most}")
    elif isinstance(settings, float) and name == "step" and not settings >= FINEST:
        raise _out_of_range(name, str(settings), f"{FINEST} and more")


def _out_of_range(name: str, value: str, allowed: str) -> InputError:
    return InputError(
        f"The setting {name} = {value} of a network is out of range; {allowed} are allowed."
    )
