"""Import of CGCNN checkpoints: the original ones (Xie 2018) and the extractors of Chang 2022."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import load_weights
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.cgcnn import CGCNN
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel

LAYERS = {
    "fc_full": "linear",
    "bn1": "bond_norm",
    "bn2": "atom_norm",
}
RECIPE = GraphRecipe(rule="cgcnn", cutoff=8.0, neighbours=12, merge_tolerance=1e-6)
"""The published graph; equal bonds are merged only where they agree to the last digits."""


def import_cgcnn(content: Mapping[str, Any], spec: PropertySpec, origin: str) -> PropertyModel:
    """Build a model from the content of a checkpoint with every key accounted for.

    Args:
        content: what `read_torch_file` returned: ``state_dict``, ``normalizer``, ...
        spec: what the network predicts.
        origin: name of the file, for messages and provenance.

    Raises:
        InputError: it is not a CGCNN regression checkpoint.
    """
    state = content.get("state_dict")
    if not isinstance(state, Mapping) or "embedding.weight" not in state:
        raise InputError(
            f"{origin!r} is not a CGCNN checkpoint: it has no 'state_dict' with an "
            f"'embedding.weight'; it has {sorted(map(str, content))[:6]}."
        )
    tensors = {_renamed(key): value for key, value in state.items() if not _is_counter(key)}
    odd = [key for key, value in tensors.items() if not isinstance(value, Tensor)]
    if odd:
        raise InputError(f"{origin!r} is not a CGCNN checkpoint: {odd[0]!r} is not a tensor.")
    bias = tensors.get("heads.0.mlp.output.bias")
    outputs = 0 if bias is None else bias.numel()
    if outputs != 1:
        raise InputError(
            f"{origin!r} has {outputs} outputs, as classifiers do; only regression models "
            "(one output) can be imported."
        )
    model = _empty_model(tensors, spec, _scaler(content, origin))
    epoch = int(content.get("epoch", 0))
    model.provenance = {"imported": origin, "format": "cgcnn", "epoch": epoch}
    load_weights(model, tensors, origin)
    return model.eval()


def _empty_model(
    tensors: Mapping[str, Tensor], spec: PropertySpec, scaler: TargetScaler
) -> PropertyModel:
    layers = len({k.split(".")[2] for k in tensors if k.startswith("encoder.convs.")})
    hidden = [k for k in tensors if re.fullmatch(r"heads\.0\.mlp\.hidden\.\d+\.weight", k)]
    width = tensors["encoder.embedding.weight"].shape[0]
    encoder = CGCNN(width=width, layers=layers, recipe=RECIPE)
    config = HeadConfig(hidden=tuple(tensors[k].shape[0] for k in sorted(hidden)))
    return PropertyModel("cgcnn", encoder, {spec.name: Head(width, spec, scaler, config)})


def _renamed(key: str) -> str:
    """Translate one key of the published layout."""
    if match := re.fullmatch(r"convs\.(\d+)\.(\w+)\.(\w+)", key):
        layer, module, leaf = match.groups()
        return f"encoder.convs.{layer}.{LAYERS.get(module, module)}.{leaf}"
    if match := re.fullmatch(r"fcs\.(\d+)\.(\w+)", key):
        return f"heads.0.mlp.hidden.{int(match[1]) + 1}.{match[2]}"
    if key.startswith("conv_to_fc."):
        return key.replace("conv_to_fc", "heads.0.mlp.hidden.0")
    if key.startswith("fc_out."):
        return key.replace("fc_out", "heads.0.mlp.output")
    return f"encoder.{key}"


def _is_counter(key: str) -> bool:
    """Tell the batch counters, which no computation reads."""
    return key.endswith(".num_batches_tracked")


def _scaler(content: Mapping[str, Any], origin: str) -> TargetScaler:
    normaliser = content.get("normalizer")
    if not isinstance(normaliser, Mapping) or not {"mean", "std"} <= normaliser.keys():
        raise InputError(f"{origin!r} has no 'normalizer' with 'mean' and 'std'; it is incomplete.")
    return TargetScaler(shift=float(normaliser["mean"]), scale=float(normaliser["std"]))
