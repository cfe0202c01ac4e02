"""Expansions of distances in basis functions."""

from __future__ import annotations

from torch import Tensor


def gaussian_expansion(lengths: Tensor, centres: Tensor, width: float) -> Tensor:
    """Expand bond lengths in Gaussians, ``exp(-((d - centre) / width)**2)``.

    There is no factor 1/2 in the exponent (Xie 2018; Chang 2022).

    Args:
        lengths: (E,) in Å.
        centres: (U,) in Å.
        width: Å.

    Returns:
        (E, U).

    >>> import torch
    >>> gaussian_expansion(torch.tensor([1.0]), torch.tensor([1.0, 1.5]), 0.5).tolist()
    [[1.0, 0.3678794503211975]]
    """
    scaled = (lengths[:, None] - centres) / width
    # exp(-60) is nothing to a sum of order one, while denormal numbers slow every product down.
    return scaled.square_().neg_().clamp_(min=-60.0).exp_()
