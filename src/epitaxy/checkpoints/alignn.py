"""Checkpoints of the published ALIGNN code (2023.4.1; Devi 2024): import and export.

Both follow one table, `published_layout`: each published key and where its numbers stand in our
network. What the published network computes and nobody reads (two normalisations) and what it
counts (batches) has its line there, too, but no place with us.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from epitaxy.batches.scalers import TargetScaler
from epitaxy.checkpoints.model_files import check_fit
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.alignn import ALIGNN, COSINES, LENGTHS, Embedding
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.nn.edge_gated_conv import EdgeGatedConv
from epitaxy.nn.norm import Norm, WeightedBatchNorm

logger = logging.getLogger("epitaxy")

Layout = dict[str, Tensor]
"""Published key -> tensor, in the order of the published ``state_dict``."""

QUARTERS = ("src_gate", "dst_gate", "dst_update", "src_update")
"""What the published code calls the rows of `EdgeGatedConv.nodes`. Its ``dst_update`` acts on the
atom at the other end of a bond, ``src_update`` on the atom itself."""
COUNTER = ".num_batches_tracked"
CENTRES = ".0.centers"
ROUND_OFF = 1e-5
"""Å, or in cosines: by which centres may differ from ours; they are stored as float32."""
RECIPES = {
    kind: GraphRecipe(
        rule="alignn-2023", bond_vectors=True, merge_tolerance=1e-6, canonical=kind == "alignn"
    )
    for kind in ("alignn", "alignn-mpt")
}
"""The published graphs; equal bonds are merged only where they agree to the last digits."""
WRITABLE = "a linear head: no hidden layer, or one without activation"


def import_alignn(content: Mapping[str, Any], spec: PropertySpec, origin: str) -> PropertyModel:
    """Build a model from a checkpoint of the published ``alignn`` with every key accounted for.

    A checkpoint says nothing of its graphs: they are taken to be the nearest twelve neighbours
    with ``use_canonize`` on. It says nothing of a scale of its target or of a ``link`` function
    either: the model predicts what the network puts out.

    Args:
        content: what `read_torch_file` returned: the state dict, or one under ``model``.
        spec: what the network predicts.
        origin: name of the file, for messages and provenance.

    Raises:
        InputError: it is not an ALIGNN checkpoint with one output.
    """
    tensors = _tensors(content, origin)
    if "conv_to_fc.0.weight" in tensors:
        raise InputError(
            f"{origin!r} has heads of multi-property work (conv_to_fc), whose graphs are others; "
            "import it as the kind 'alignn-mpt'."
        )
    return _import(tensors, spec, origin, "alignn")


def import_alignn_mpt(content: Mapping[str, Any], spec: PropertySpec, origin: str) -> PropertyModel:
    """Build a model from a checkpoint whose graphs had ``use_canonize`` off.

    That is so for multi-property pre-training (Devi 2024) and what was fine-tuned from it. The head
    may be that of these models or that of ``alignn``. Several heads are called by the name of
    ``spec`` and a number from 0 on, in the order of the file; their units are left empty.

    Arguments and errors are those of `import_alignn`.
    """
    return _import(_tensors(content, origin), spec, origin, "alignn-mpt")


def export_alignn(model: PropertyModel, origin: str) -> dict[str, Any]:
    """Return the content of a checkpoint that the published ``alignn`` can read.

    An affine scale of the target becomes part of the last layer. Normalisations that nobody reads
    are as in a new network, and the counters of batches are 0.

    Args:
        model: an ALIGNN with batch normalisation and one linear head.
        origin: name of the model, for messages.

    Raises:
        InputError: the published network cannot be this model.
    """
    encoder = model.encoder
    if not isinstance(encoder, ALIGNN):
        raise InputError(
            f"The model {origin!r} is a {model.architecture}, which the kind 'alignn' cannot hold."
        )
    if encoder.norm != "batch":
        raise InputError(
            f"The model {origin!r} has {encoder.norm} normalisation, but alignn 2023.4.1 knows "
            "batch normalisation only; it cannot be exported."
        )
    if len(model.names) != 1:
        raise InputError(
            f"The model {origin!r} has {len(model.names)} heads ({', '.join(model.names)}), but "
            "the published network has one; it cannot be exported."
        )
    head = model.head(model.names[0])
    _check_head(head, origin)
    state = {
        key: tensor.detach().cpu().clone()
        for key, tensor in published_layout(encoder, [head]).items()
    }
    last = "fc.1" if head.config.hidden else "fc"
    scale, shift = head.scaler.scale, head.scaler.shift
    if (scale, shift) != (1.0, 0.0):
        for leaf, addend in (("weight", 0.0), ("bias", shift)):
            value = state[f"{last}.{leaf}"]
            state[f"{last}.{leaf}"] = (value.double() * scale + addend).to(value.dtype)
    _say_how_to_read(encoder)
    return {"model": state}


def published_layout(encoder: ALIGNN, heads: Sequence[Head]) -> Layout:
    """Return all published keys; what is copied into a tensor of them fills the model."""
    layout = _embedding("atom_embedding", encoder.atom_embedding)
    for name, centres, layers in (
        ("edge_embedding", LENGTHS, encoder.bond_embedding),
        ("angle_embedding", COSINES, encoder.angle_embedding),
    ):
        layout[name + CENTRES] = torch.linspace(*centres)
        for n, layer in enumerate(layers, 1):
            assert isinstance(layer, Embedding)
            layout |= _embedding(f"{name}.{n}", layer)
    convs = {}
    for n, (bonds, angles) in enumerate(zip(encoder.bond_convs, encoder.angle_convs, strict=True)):
        convs[f"alignn_layers.{n}.node_update"] = bonds
        convs[f"alignn_layers.{n}.edge_update"] = angles
    convs |= {f"gcn_layers.{n}": conv for n, conv in enumerate(encoder.gcn_convs)}
    for name, conv in convs.items():
        assert isinstance(conv, EdgeGatedConv)
        layout |= _convolution(name, conv)
    for name, linear in _head_layers(heads).items():
        layout |= _linear(name, linear)
    return layout


def _embedding(name: str, layer: Embedding) -> Layout:
    return _linear(f"{name}.layer.0", layer.linear) | _norm(f"{name}.layer.1", layer.norm)


def _convolution(name: str, conv: EdgeGatedConv) -> Layout:
    weights, biases = (tensor.detach().chunk(4) for tensor in (conv.nodes.weight, conv.nodes.bias))
    quarters = {
        part: {f"{name}.{part}.weight": weight, f"{name}.{part}.bias": bias}
        for part, weight, bias in zip(QUARTERS, weights, biases, strict=True)
    }
    edge_norm = conv.edge_norm or WeightedBatchNorm(len(weights[0]))
    return {
        **quarters["src_gate"],
        **quarters["dst_gate"],
        **_linear(f"{name}.edge_gate", conv.edges),
        **_norm(f"{name}.bn_edges", edge_norm),
        **quarters["src_update"],
        **quarters["dst_update"],
        **_norm(f"{name}.bn_nodes", conv.node_norm),
    }


def _linear(name: str, layer: nn.Linear) -> Layout:
    return {f"{name}.weight": layer.weight.detach(), f"{name}.bias": layer.bias.detach()}


def _norm(name: str, norm: Norm) -> Layout:
    assert isinstance(norm, WeightedBatchNorm)
    return {
        f"{name}.weight": norm.weight.detach(),
        f"{name}.bias": norm.bias.detach(),
        f"{name}.running_mean": norm.running_mean,
        f"{name}.running_var": norm.running_var,
        f"{name}{COUNTER}": torch.tensor(0),
    }


def _head_layers(heads: Sequence[Head]) -> dict[str, nn.Linear]:
    """Return the published names of the layers of the heads, in their order."""
    first: dict[str, Any] = {}
    middle: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for i, head in enumerate(heads):
        hidden, output = list(head.mlp.hidden), head.mlp.output
        if not hidden:
            first["fc"] = output
        elif head.config.act == "none":
            first |= {f"fc.{j}": layer for j, layer in enumerate([*hidden, output])}
        else:
            first[f"conv_to_fc.{i}"] = hidden[0]
            middle |= {f"fc_hp.{i}.{j}": layer for j, layer in enumerate(hidden[1:])}
            last[f"fc_out.{i}"] = output
    return first | middle | last


def _tensors(content: Mapping[str, Any], origin: str) -> Layout:
    """Find the state dict."""
    state = content.get("model", content)
    if not isinstance(state, Mapping) or "atom_embedding.layer.0.weight" not in state:
        raise InputError(
            f"{origin!r} is not an ALIGNN checkpoint: it has no 'atom_embedding.layer.0.weight', "
            f"alone or under 'model'; it has {sorted(map(str, content))[:6]}."
        )
    odd = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise InputError(f"{origin!r} is not an ALIGNN checkpoint: {odd[0]!r} is not a tensor.")
    return dict(state)


def _import(tensors: Layout, spec: PropertySpec, origin: str, kind: str) -> PropertyModel:
    encoder = ALIGNN(
        width=_rows(tensors, "atom_embedding.layer.0.weight", origin),
        embedding=_rows(tensors, "edge_embedding.1.layer.0.weight", origin),
        alignn_layers=_count(tensors, "alignn_layers"),
        gcn_layers=_count(tensors, "gcn_layers"),
        recipe=RECIPES[kind],
    )
    config, number = _head_config(tensors, origin)
    specs = (
        [spec] if number == 1 else [PropertySpec(name=f"{spec.name}-{i}") for i in range(number)]
    )
    heads = {s.name: Head(encoder.width, s, TargetScaler(), config) for s in specs}
    model = PropertyModel("alignn", encoder, heads)
    model.provenance = {"imported": origin, "format": kind}
    layout = published_layout(encoder, list(heads.values()))
    # Files that were made without the counters are complete all the same.
    known = {key: value for key, value in tensors.items() if key not in layout or _is_read(key)}
    wanted = {key: value for key, value in layout.items() if _is_read(key)}
    check_fit(wanted, known, origin)
    for key, place in wanted.items():
        if key.endswith(CENTRES):
            _check_centres(place, tensors[key], key, origin)
        else:
            place.copy_(tensors[key])
    return model.eval()


def _is_read(key: str) -> bool:
    """Tell everything but the counters of batches, which no computation reads."""
    return not key.endswith(COUNTER)


def _rows(tensors: Layout, key: str, origin: str) -> int:
    """Return the number of rows of a matrix."""
    shape = tensors[key].shape if key in tensors else ()
    if len(shape) != 2 or shape[0] < 1:
        raise InputError(f"{origin!r} is not an ALIGNN checkpoint: {key!r} is not there as matrix.")
    return int(shape[0])


def _count(tensors: Layout, name: str) -> int:
    """Count the layers of one kind."""
    return len({key.split(".")[1] for key in tensors if key.startswith(f"{name}.")})


def _head_config(tensors: Layout, origin: str) -> tuple[HeadConfig, int]:
    """Read shape and number of the heads off the keys."""
    outputs = [tensors[k].numel() for k in tensors if re.fullmatch(r"fc(\.1|_out\.\d+)?\.bias", k)]
    if any(n != 1 for n in outputs):
        raise InputError(
            f"{origin!r} has {max(outputs)} outputs, as classifiers do; only regression models "
            "(one output) can be imported."
        )
    if "conv_to_fc.0.weight" in tensors:
        width = _rows(tensors, "conv_to_fc.0.weight", origin)
        more = sum(bool(re.fullmatch(r"fc_hp\.0\.\d+\.weight", key)) for key in tensors)
        config = HeadConfig(hidden=(width,) * (1 + more), act="silu", first=True)
        return config, _count(tensors, "conv_to_fc")
    if "fc.0.weight" in tensors:
        width = _rows(tensors, "fc.0.weight", origin)
        return HeadConfig(hidden=(width,), act="none", first=False), 1
    return ALIGNN.default_head, 1


def _check_centres(ours: Tensor, theirs: Tensor, key: str, origin: str) -> None:
    if not torch.allclose(ours.double(), theirs.double(), rtol=0.0, atol=ROUND_OFF):
        raise InputError(
            f"{origin!r} expands in Gaussians at other places than ALIGNN: {key!r} must go from "
            f"{float(ours[0]):g} to {float(ours[-1]):g} in equal steps."
        )


def _check_head(head: Head, origin: str) -> None:
    config = head.config
    linear = config.act == "none" or not (config.hidden or config.first)
    if len(config.hidden) > 1 or not linear or config.residual != "none":
        raise InputError(
            f"The model {origin!r} has a head with hidden layers {list(config.hidden)} and the "
            f"activation {config.act!r}, but the kind 'alignn' can hold only {WRITABLE}."
        )
    if head.scaler.transform != "identity":
        raise InputError(
            f"The model {origin!r} learned {head.spec.name!r} on the scale "
            f"{head.scaler.transform!r}, for which the published network has no place; it cannot "
            "be exported."
        )


def _say_how_to_read(encoder: ALIGNN) -> None:
    recipe = encoder.recipe
    logger.info(
        "For the published code: hidden_features=%d, embedding_features=%d, alignn_layers=%d, "
        "gcn_layers=%d; graphs with neighbor_strategy='k-nearest', cutoff=%g, max_neighbors=%d, "
        "use_canonize=%s.",
        encoder.width,
        encoder.embedding,
        len(encoder.bond_convs),
        len(encoder.gcn_convs),
        recipe.cutoff,
        recipe.neighbours,
        recipe.canonical,
    )
    if recipe.rule != "alignn-2023":
        logger.warning(
            "The model knows graphs of the rule %r, while the published code builds those of the "
            "rule 'alignn-2023'; its predictions will differ from ours.",
            recipe.rule,
        )
