"""What two threads of this machine can do at most: matrix products and copying memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

SECONDS = 1.0


def rate(action: Callable[[], Any], amount: float) -> float:
    """Return ``amount`` per second of the fastest of many repetitions within `SECONDS`."""
    action()
    fastest = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        action()
        fastest = min(fastest, time.perf_counter() - began)
    return amount / fastest


def ceiling(threads: int) -> dict[str, float]:
    """Return GFLOP/s of (20000 x 256) (256 x 256) and GB/s of a copy, reading and writing."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = {}
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left, right = torch.randn(20000, 256).to(kind), torch.randn(256, 256).to(kind)
        out = torch.empty(20000, 256, dtype=kind)
        # Arguments bound now, because the loop goes on.
        product = lambda a=left, b=right, c=out: torch.mm(a, b, out=c)  # noqa: E731
        found[name] = rate(product, 2 * 20000 * 256 * 256 / 1e9)
    source = torch.ones(2**26)
    target = torch.empty_like(source)
    found["copy"] = rate(lambda: target.copy_(source), 2 * source.nbytes / 1e9)
    torch.set_num_threads(before)
    return found


def forward_products(sizes: dict[str, float], width: int = 256, embedding: int = 64) -> float:
    """Return multiplications in the matrix products of one forward pass, 4 + 4 layers."""
    atoms, bonds, angles = sizes["atoms"], sizes["bonds"], sizes["angles"]

    def convolution(nodes: float, edges: float) -> float:
        return (4 * nodes + edges) * width**2

    embeddings = (bonds + angles) * embedding * width + first_products(sizes, width, embedding)
    return embeddings + 8 * convolution(atoms, bonds) + 4 * convolution(bonds, angles)


def first_products(sizes: dict[str, float], width: int = 256, embedding: int = 64) -> float:
    """Return multiplications in the layers that need no gradient of their input."""
    return sizes["atoms"] * 92 * width + (80 * sizes["bonds"] + 40 * sizes["angles"]) * embedding


def arithmetic(sizes: dict[str, float]) -> dict[str, float]:
    """Return GFLOP of training and of inference for so many atoms, bonds and angles."""
    forward = forward_products(sizes)
    return {
        "train": 2e-9 * (3 * forward - first_products(sizes)),
        "infer": 2e-9 * forward,
    }
