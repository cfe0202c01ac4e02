"""Layer 5: saving and loading models, and reading and writing other projects' checkpoints."""

from epitaxy.core.registry import Registry

IMPORTERS = Registry(
    "checkpoint format",
    {
        "alignn": "epitaxy.checkpoints.alignn:import_alignn",
        "alignn-mpt": "epitaxy.checkpoints.alignn:import_alignn_mpt",
        "cgcnn": "epitaxy.checkpoints.cgcnn:import_cgcnn",
    },
)
"""Name -> function that turns the content of a foreign checkpoint into a `PropertyModel`."""

EXPORTERS = Registry("checkpoint format", {"alignn": "epitaxy.checkpoints.alignn:export_alignn"})
"""Name -> function that turns a `PropertyModel` into the content of a foreign checkpoint."""
