"""Expansions of distances and angles in basis functions."""

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


def radial_basis(values: Tensor, centres: Tensor) -> Tensor:
    """Expand numbers in Gaussians, ``exp(-(x - centre)**2 / spacing)``.

    ALIGNN divides by the spacing of the centres, not by its square (release 2023.4.1).

    Args:
        values: (E,).
        centres: (U,) equally spaced.

    Returns:
        (E, U).

    >>> import torch
    >>> radial_basis(torch.tensor([1.0]), torch.tensor([1.0, 1.5])).tolist()
    [[1.0, 0.6065306663513184]]
    """
    spacing = (centres[-1] - centres[0]) / (len(centres) - 1)
    # As above: a clamp against denormal numbers.
    return (values[:, None] - centres).square_().div_(-spacing).clamp_(min=-60.0).exp_()
