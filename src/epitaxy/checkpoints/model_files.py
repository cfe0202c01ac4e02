"""``model.safetensors`` + ``model.json``: everything needed to predict, and nothing to execute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import atomic_file, cache_folder, write_json
from epitaxy.core.parsing import read_json
from epitaxy.models.property_model import PropertyModel

FORMAT = "epitaxy-model"
VERSION = 1
ZOO = "zoo:"


def save_model(model: PropertyModel, folder: str | Path) -> None:
    """Write ``model.safetensors`` and ``model.json`` into ``folder``."""
    folder = Path(folder)
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with atomic_file(folder / "model.safetensors") as temporary:
        # Not save_file: its errors are not OSErrors, and others may not read its files.
        temporary.write_bytes(save(tensors))
    header = {"format": FORMAT, "version": VERSION, **model.settings()}
    write_json(folder / "model.json", header)


def load_model(source: str | Path) -> PropertyModel:
    """Load a model from a run folder or from the zoo (``zoo:NAME``), in evaluation mode.

    Raises:
        InputError: there is no model, or its files are damaged, of a newer format, or do not
            belong together; every key is accounted for.
    """
    folder = model_folder(source)
    header = _read_header(verified(folder / "model.json"))
    weights = verified(folder / "model.safetensors")
    # Before anything is built: a few words can describe a network that fills any memory.
    with torch.device("meta"):
        described = _build(header, folder)
    check_fit(described.state_dict(), _shapes(weights), str(folder))
    model = _build(header, folder)
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise _unreadable(weights, error) from error
    load_weights(model, tensors, str(folder))
    return model.eval()


def _build(header: Mapping[str, Any], folder: Path) -> PropertyModel:
    try:
        return PropertyModel.from_settings(header)
    except InputError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise InputError(
            f"{str(folder / 'model.json')!r} does not describe a model this version can build "
            f"({_first_line(error)}); was it written by another version or edited?"
        ) from error


def _shapes(weights: Path) -> dict[str, Tensor]:
    """Return the tensors of a file without their content."""
    try:
        with safe_open(weights, framework="pt") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unreadable(weights, error) from error
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{str(path)!r} cannot be read ({_first_line(error)}); copy the model again.")


def load_weights(model: PropertyModel, tensors: dict[str, Tensor], origin: str) -> None:
    """Copy ``tensors`` into ``model``; every key and shape must match.

    Raises:
        InputError: keys are missing, left over, or of another shape.
    """
    check_fit(model.state_dict(), tensors, origin)
    model.load_state_dict(tensors)


def check_fit(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], origin: str) -> None:
    """Compare keys and shapes of ``tensors`` with those of a model.

    Raises:
        InputError: keys are missing, left over, or of another shape.
    """
    missing = sorted(wanted.keys() - tensors.keys())
    left = sorted(tensors.keys() - wanted.keys())
    misfits = [k for k in wanted.keys() & tensors.keys() if wanted[k].shape != tensors[k].shape]
    if missing or left or misfits:
        raise InputError(
            f"The weights of {origin!r} do not fit the model: missing {missing[:3] or 'none'}, "
            f"left over {left[:3] or 'none'}, of another shape {sorted(misfits)[:3] or 'none'}; "
            "the files do not belong together."
        )


def model_folder(source: str | Path) -> Path:
    """Return the folder of a run or of a zoo model, shipped or pulled.

    Raises:
        InputError: there is no such model.
    """
    text = str(source)
    if text.startswith(ZOO):
        name = text.removeprefix(ZOO)
        if name in zoo_names():
            return zoo_folder() / name
        if name in pulled_names():
            return pulled_folder() / name
        raise unknown("zoo model", name, [*zoo_names(), *pulled_names()])
    folder = Path(source)
    if not (folder / "model.json").is_file():
        raise InputError(
            f"There is no model in {text!r}: a run folder (with model.json) or zoo:NAME is needed; "
            f"the zoo has {', '.join(zoo_names()) or 'nothing'}."
        )
    return folder


def named_models(given: str | Path | Sequence[str | Path]) -> dict[str, str]:
    """Return models by a short name: the last part of the folder, or the name in the zoo.

    Args:
        given: run folders, ``zoo:NAME`` or ``zoo:*``; a list, one path, or one text with commas.

    Raises:
        InputError: two models have one name.

    >>> named_models("runs/shear, zoo:cgcnn-band-gap")
    {'shear': 'runs/shear', 'cgcnn-band-gap': 'zoo:cgcnn-band-gap'}
    """
    several = [given] if isinstance(given, Path) else given
    texts = several.split(",") if isinstance(several, str) else [str(g) for g in several]
    models: dict[str, str] = {}
    for text in filter(None, map(str.strip, texts)):
        for model in [ZOO + n for n in zoo_names()] if text == ZOO + "*" else [text]:
            name = model_name(model)
            if models.setdefault(name, model) != model:
                raise InputError(
                    f"Two models are called {name!r}: {models[name]!r} and {model!r}; rename one."
                )
    return models


def model_name(model: str | Path) -> str:
    """Return a short name of a model: the last part of its folder, or its name in the zoo.

    >>> model_name("zoo:cgcnn-band-gap"), model_name("runs/big/")
    ('cgcnn-band-gap', 'big')
    """
    return Path(str(model).removeprefix(ZOO)).name or str(model)


def zoo_folder() -> Path:
    """Return the folder of the shipped weights."""
    return Path(str(files("epitaxy") / "zoo"))


def zoo_names() -> list[str]:
    """Return the names of the shipped models."""
    return sorted(path.parent.name for path in zoo_folder().glob("*/model.json"))


def pulled_folder() -> Path:
    """Return the folder of the models that were pulled from elsewhere."""
    return cache_folder() / "zoo"


def pulled_names() -> list[str]:
    """Return the names of the models that were pulled from elsewhere."""
    found = (pulled_folder().glob(f"[!.]*/{name}") for name in ("model.json", "fit.json"))
    return sorted({path.parent.name for paths in found for path in paths})


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as JSON ({_first_line(error)}); copy the model again."
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{str(path)!r} is not the description of an epitaxy model.")
    if header.get("version") != VERSION:
        raise InputError(
            f"{str(path)!r} has format version {header.get('version')!r}, but this program reads "
            f"version {VERSION}; install a matching version of epitaxy."
        )
    return header


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
