"""`descriptors`: fixed descriptions of crystals, with no network."""

from __future__ import annotations

from epitaxy.fitting.candidates.shallow import ALL, ShallowFamily

DESCRIPTORS_ALONE = ShallowFamily(
    "descriptors",
    transfers=False,
    proposals=lambda problem: [("descriptors", problem.descriptors, ALL)],
)
