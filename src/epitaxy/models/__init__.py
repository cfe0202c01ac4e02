"""Layer 4: encoders, heads and the model that joins them."""

from typing import Any

from epitaxy.core.registry import Registry

ENCODERS = Registry(
    "model",
    {
        "alignn": "epitaxy.models.alignn:ALIGNN",
        "cgat": "epitaxy.models.cgat:CGAT",
        "cgcnn": "epitaxy.models.cgcnn:CGCNN",
    },
)
"""Name -> `Encoder` class. To add one: a file here and a line in this table."""
PARTS = Registry(
    "model",
    {
        "descriptor": "epitaxy.models.fixed_vectors:FixedVectors",
        "mixture": "epitaxy.models.mixture:Mixture",
    },
)
"""Encoders that are made of something else, not trained from nothing by name."""


def encoder_kind(name: str) -> Any:
    """Return the class of any encoder that a model may have.

    Raises:
        InputError: there is none of that name.
    """
    return PARTS[name] if name in PARTS else ENCODERS[name]
