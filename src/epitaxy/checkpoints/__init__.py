"""Layer 5: saving and loading models, and reading other projects' checkpoints."""

from epitaxy.core.registry import Registry

IMPORTERS = Registry("checkpoint format", {"cgcnn": "epitaxy.checkpoints.cgcnn:import_cgcnn"})
"""Name -> function that turns the content of a foreign checkpoint into a `PropertyModel`."""
