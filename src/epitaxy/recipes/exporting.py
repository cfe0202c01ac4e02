"""`export_checkpoint`: a model of ours as another project's checkpoint."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from epitaxy.checkpoints import EXPORTERS
from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.outputs import check_output, output_file
from epitaxy.models.property_model import PropertyModel


def export_checkpoint(
    run: str | Path | PropertyModel,
    out: str | Path,
    *,
    kind: str = "alignn",
    overwrite: bool = False,
) -> Path:
    """Write a torch file that the code of another project reads.

    Args:
        run: run folder, ``zoo:NAME`` or a loaded model.
        out: file to write.
        kind: format of the checkpoint.
        overwrite: replace a file that epitaxy did not write.

    Returns:
        ``out``.

    Raises:
        InputError: there is no model, it does not fit the format, or something of somebody's is at
            ``out``.
    """
    out = check_output(out, inputs=[run], overwrite=overwrite)
    writer = EXPORTERS[kind]
    model = run if isinstance(run, PropertyModel) else load_model(run)
    origin = model.architecture if isinstance(run, PropertyModel) else str(run)
    buffer = io.BytesIO()  # torch's own errors of writing are not OSErrors
    torch.save(writer(model, origin), buffer)
    with output_file(out) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return out
