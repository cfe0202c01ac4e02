"""How many threads pay for a network of a given size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads_for(bonds_per_batch: float, bonds_per_thread: int) -> Iterator[int]:
    """Use as many threads as pay, at most those that torch would use; undone afterwards.

    Small tensors are not worth a second thread, and on a busy machine threads that wait for each
    other are many times slower than one.

    >>> with threads_for(100, bonds_per_thread=4000) as threads:
    ...     threads
    1
    """
    before = torch.get_num_threads()
    threads = max(1, min(before, int(bonds_per_batch // bonds_per_thread)))
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)
