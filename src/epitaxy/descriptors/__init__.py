"""Layer 2: fixed descriptors, one vector per crystal."""

from epitaxy.core.registry import Registry

DESCRIPTORS = Registry(
    "descriptor",
    {
        "chgnet": "epitaxy.descriptors.chgnet:CHGNET",
        "composition": "epitaxy.descriptors.composition:COMPOSITION",
        "geometry": "epitaxy.descriptors.geometry:GEOMETRY",
        "magpie": "epitaxy.descriptors.magpie:MAGPIE",
        "springs": "epitaxy.descriptors.springs:SPRINGS",
        "structure": "epitaxy.descriptors.structure:STRUCTURE",
    },
)
"""Name -> `Descriptor`. To add one: a file here and a line in this table."""
