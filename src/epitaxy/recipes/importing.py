"""`import_checkpoint`: another project's weights as a model folder of ours."""

from __future__ import annotations

from pathlib import Path

from epitaxy.checkpoints import IMPORTERS
from epitaxy.checkpoints.foreign import read_torch_file
from epitaxy.checkpoints.model_files import save_model
from epitaxy.core.checksums import protect
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_folder, check_output_folder
from epitaxy.core.properties import PropertySpec
from epitaxy.models.property_model import PropertyModel


def import_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    *,
    kind: str = "cgcnn",
    property_name: str | None = None,
    unit: str = "",
    overwrite: bool = False,
) -> PropertyModel:
    """Read a foreign checkpoint, executing nothing in it, and write a model folder.

    Args:
        checkpoint: file of the other project (``.pth.tar`` of CGCNN, say).
        out: folder to write; it can be given wherever a run folder is asked for.
        kind: format of the checkpoint: ``cgcnn``, ``alignn``, or ``alignn-mpt`` (the same network,
            made for graphs that are not canonical, see `GraphRecipe.canonical`).
        property_name: what it predicts; the name of the file otherwise.
        unit: unit of the prediction.
        overwrite: replace a model or run that stands at ``out``.

    Raises:
        InputError: the file is damaged, of another format, or holds foreign code; or there is
            something at ``out``.
    """
    out = check_output_folder(out)
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise InputError(
            f"The output folder {str(out)!r} holds a model or a run; give another folder, or allow "
            "to overwrite it (--overwrite)."
        )
    path = Path(checkpoint)
    reader = IMPORTERS[kind]
    name = property_name or path.name.split(".")[0]
    model: PropertyModel = reader(
        read_torch_file(path), PropertySpec(name=name, unit=unit), path.name
    )
    with atomic_folder(out, overwrite=overwrite) as folder:
        save_model(model, folder)
        protect(folder)
    return model
