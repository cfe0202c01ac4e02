"""Featurizers of matminer, applied to one crystal after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from epitaxy.descriptors.packages import needs, quiet, versions

EXTRA = "descriptors"
UNUSABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What matminer, pymatgen and spglib raise for crystals that they cannot describe."""


class MatminerDescriptor(ABC):
    """A descriptor whose features are those of some featurizers of matminer, one after another."""

    @abstractmethod
    def featurizers(self) -> tuple[Any, ...]:
        """Return the featurizers, always the same ones.

        Raises:
            InputError: matminer is not installed.
        """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, as in matminer.

        Raises:
            InputError: matminer is not installed.
        """
        return labels(self.featurizers())

    @property
    def version(self) -> str:
        """Versions of matminer and of what it calls.

        Raises:
            InputError: matminer is not installed.
        """
        return matminer_version()


def matminer_version() -> str:
    """Return the versions of the packages that compute the features.

    Raises:
        InputError: matminer is not installed.
    """
    with needs("matminer", EXTRA):
        return versions("matminer", "pymatgen-core", "spglib")


def labels(featurizers: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of the features of all featurizers, in order."""
    return tuple(label for f in featurizers for label in f.feature_labels())


def featurized(featurizers: Sequence[Any], item: Any) -> tuple[np.ndarray, str]:
    """Apply all featurizers to one structure or composition.

    Returns:
        The vector (F,) float64 and an empty text; or a vector of NaN and the reason.
    """
    try:
        with quiet():
            found = [value for f in featurizers for value in f.featurize(item)]
        return np.array(found, dtype=np.float64), ""
    except UNUSABLE as error:
        width = len(labels(featurizers))
        return np.full(width, np.nan), f"matminer cannot describe it: {said_by(error)}"


def said_by(error: Exception) -> str:
    r"""Return class and first line of the text of an error, as one sentence.

    >>> said_by(ValueError("no neighbours\nfound"))
    'ValueError, no neighbours.'
    """
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}, {lines[0]}" if lines else type(error).__name__
    return text.rstrip(".") + "."
