"""What a model has learned: the values of which compositions, so that nobody is scored on them.

A model that was pre-trained on a material knows something of it, and if it learned the very value
that is asked for, an error on that material says nothing about new ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from epitaxy.checkpoints.model_files import model_folder
from epitaxy.checkpoints.same_values import Values, same_values
from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file

FILE = "learned.safetensors"


@dataclass(frozen=True)
class Learned:
    """The labels of one model's training and validation rows, and of the models before it."""

    of: Mapping[str, Values] = field(default_factory=dict)
    """By property."""

    @classmethod
    def from_labels(
        cls, formulas: Sequence[str], labels: np.ndarray, names: Sequence[str]
    ) -> Learned:
        """Take over (n, P) labels, NaN where there is none.

        >>> found = Learned.from_labels(["NaCl", "MgO"], np.array([[8.5], [np.nan]]), ["gap"])
        >>> len(found.of["gap"][0])
        1
        """
        keys = composition_keys(formulas)
        return cls({name: _ordered(keys, labels[:, p]) for p, name in enumerate(names)})

    def __or__(self, other: Learned) -> Learned:
        """Join what two models learned."""
        joined = dict(self.of)
        for name, (keys, values) in other.of.items():
            mine = joined.get(name, (keys[:0], values[:0]))
            joined[name] = _ordered(
                np.concatenate([mine[0], keys]), np.concatenate([mine[1], values])
            )
        return Learned(joined)

    def write(self, folder: Path) -> None:
        """Write ``learned.safetensors``: a pair of arrays for each property."""
        arrays = {}
        for name, (keys, values) in self.of.items():
            arrays[f"{name}/compositions"], arrays[f"{name}/values"] = keys, values
        with atomic_file(folder / FILE) as temporary:
            temporary.write_bytes(save(arrays))

    def knows(self, formulas: Sequence[str]) -> np.ndarray:
        """Tell of which compositions any value was learned, (n,) bool."""
        every = [keys for keys, _ in self.of.values()] or [np.zeros(0, np.uint32)]
        return np.isin(composition_keys(formulas), np.concatenate(every))

    def knows_value(self, formulas: Sequence[str], labels: np.ndarray) -> np.ndarray:
        """Tell of which rows this very value was learned, whatever the property is called.

        Values count as equal within a part in a thousand, in any unit and on any scale (logarithms,
        standardised values): if most values of a property are one such function of the learned
        ones, that is the scale. Zeros are too common to tell anything.

        Args:
            formulas: reduced formulas, (n,).
            labels: values, (n,).

        Returns:
            (n,) bool

        >>> ours = Learned.from_labels(["NaCl"], np.array([[8.5]]), ["gap"])
        >>> ours.knows_value(["NaCl", "NaCl", "MgO"], np.array([8.5, 8.4, 8.5])).tolist()
        [True, False, False]
        """
        keys = composition_keys(formulas)
        found = np.zeros(len(keys), dtype=bool)
        for learned in self.of.values():
            found |= same_values(keys, labels, learned)
        return found


def composition_keys(formulas: Sequence[str]) -> np.ndarray:
    """Return a 32-bit key of each reduced formula, (n,) uint32."""
    return np.array([zlib.crc32(str(f).encode()) for f in formulas], dtype=np.uint32)


def read_learned(model: str | Path) -> Learned:
    """Return what a run folder or zoo model has learned; nothing where it does not say.

    Raises:
        InputError: there is no such model, or its file is damaged.
    """
    path = model_folder(model) / FILE
    if not path.is_file():
        return Learned()
    verified(path)
    try:
        arrays = load_file(path)
        names = sorted({key.rpartition("/")[0] for key in arrays})
        return Learned({n: (arrays[f"{n}/compositions"], arrays[f"{n}/values"]) for n in names})
    except (SafetensorError, OSError, KeyError) as error:
        raise InputError(
            f"{str(path)!r} cannot be read ({error}); copy the model again."
        ) from error


def all_learned(models: Iterable[str | Path]) -> Learned:
    """Return what several models have learned together."""
    joined = Learned()
    for model in models:
        joined |= read_learned(model)
    return joined


def _ordered(keys: np.ndarray, values: np.ndarray) -> Values:
    """Return labelled rows once each, by key and value."""
    known = np.isfinite(values)
    pairs = np.empty(int(known.sum()), dtype=[("key", np.uint32), ("value", np.float32)])
    pairs["key"], pairs["value"] = keys[known], values[known]
    pairs = np.unique(pairs)
    return np.ascontiguousarray(pairs["key"]), np.ascontiguousarray(pairs["value"])
