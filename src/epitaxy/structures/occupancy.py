"""When a site counts as full."""

from __future__ import annotations

from epitaxy.structures.building import UnusableError

TOLERANCE = 1e-3
"""How far an occupancy may be from 1 and mean a full site."""


def check_occupancy(site: str, text: str, value: float | None) -> None:
    """Refuse a site that is not full.

    Raises:
        UnusableError: with the site and its occupancy as it is written.
    """
    if value is None or not abs(value - 1) <= TOLERANCE * (1 + 1e-9):
        raise UnusableError(f"partial occupancy on site {site!r} ({text}): give an ordered cell")
