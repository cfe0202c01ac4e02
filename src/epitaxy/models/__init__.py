"""Layer 4: encoders, heads and the model that joins them."""

from epitaxy.core.registry import Registry

ENCODERS = Registry(
    "model",
    {"alignn": "epitaxy.models.alignn:ALIGNN", "cgcnn": "epitaxy.models.cgcnn:CGCNN"},
)
"""Name -> `Encoder` class. To add one: a file here and a line in this table."""
