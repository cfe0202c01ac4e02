"""State of a half-finished training: one safetensors file, written atomically, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from epitaxy.core.files import atomic_file
from epitaxy.core.parsing import parse_json

FILE = "resume.safetensors"


def save_state(  # noqa: PLR0917 - what a training consists of
    folder: Path,
    model: nn.Module,
    loss: nn.Module,
    best: dict[str, Tensor],
    optimiser: Optimizer,
    note: Any,
) -> None:
    """Write weights, best weights, optimiser state and the JSON-serialisable ``note``."""
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"loss/{k}": v for k, v in loss.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in best.items()}
    scalars: dict[str, Any] = {}
    for number, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            name = f"optimiser/{number}/{key}"
            if isinstance(value, Tensor):
                tensors[name] = value
            else:
                scalars[name] = value
    header = {"note": json.dumps(note), "scalars": json.dumps(scalars)}
    content = save({k: v.detach().clone().contiguous() for k, v in tensors.items()}, header)
    with atomic_file(folder / FILE) as temporary:
        temporary.write_bytes(content)


def load_state(
    folder: Path, model: nn.Module, loss: nn.Module, optimiser: Optimizer
) -> tuple[dict[str, Tensor], Any] | None:
    """Restore what `save_state` wrote; return (best weights, note), or None if there is nothing.

    A file that cannot be read, or that is of another model, counts as nothing: the training then
    starts anew.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        note, scalars = parse_json(header["note"]), parse_json(header["scalars"])
    except (SafetensorError, KeyError, ValueError):
        return None
    weights, best = _below(tensors, "model/"), _below(tensors, "best/")
    if not _shapes(weights) == _shapes(best) == _shapes(model.state_dict()):
        return None
    of_loss = _below(tensors, "loss/")
    if _shapes(of_loss) != _shapes(loss.state_dict()):
        return None
    model.load_state_dict(weights)
    loss.load_state_dict(of_loss)
    state: dict[int, dict[str, Any]] = {}
    entries = _below(tensors, "optimiser/") | {
        k.removeprefix("optimiser/"): v for k, v in scalars.items()
    }
    for name, value in entries.items():
        number, key = name.split("/", 1)
        state.setdefault(int(number), {})[key] = value
    full = optimiser.state_dict()
    full["state"] = state
    optimiser.load_state_dict(full)
    return best, note


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {key: tensor.shape for key, tensor in tensors.items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copy all weights and statistics of a model."""
    with torch.no_grad():
        return {k: v.detach().clone() for k, v in model.state_dict().items()}
