"""How much memory the process may take, and how it treats what was freed."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from epitaxy.core.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 32 * 1024 * 1024
"""Largest threshold of the C library for taking memory from the system block by block."""
NEVER = 2**31 - 1
NEEDED = 3328 << 20
"""Bytes of address space that the libraries take by themselves."""
NEEDED_PER_CORE = 128 << 20
"""Bytes of address space of the threads of one core, of which little is ever used."""
EXHAUSTED = ("allocate memory", "out of memory", "not enough memory", "failed to map segment")
"""Words of libraries that got no memory."""


def keep_freed_memory() -> bool:
    """Keep freed memory for the next step of a training instead of returning it to the system.

    Every step allocates the same large arrays; handing their pages back and forth takes longer than
    the arithmetic on them. Memory stays at its peak until the process ends, which is why programs
    may ask for this, and libraries should not.

    Returns:
        Whether the C library took the settings (glibc does).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))


def check_memory_limit() -> None:
    """Refuse limits of the address space (``ulimit -v``) within which threads cannot start.

    The library of linear algebra then waits for ever for threads that have died.

    Raises:
        InputError: the limit is too low.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1
    needed = NEEDED + NEEDED_PER_CORE * cores
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if resource.RLIM_INFINITY != allowed < needed:
        raise InputError(
            f"This shell allows a program {allowed >> 20:,} MiB of memory (ulimit -v), but epitaxy "
            f"needs {needed >> 20:,} MiB with {cores} cores, most of it never used; raise the "
            "limit (ulimit -v unlimited), or allow fewer cores (taskset)."
        )


def is_exhausted(error: BaseException) -> bool:
    """Tell whether an error, or what caused it, says that there was not enough memory.

    >>> is_exhausted(RuntimeError("CUDA out of memory")), is_exhausted(ValueError("x"))
    (True, False)
    """
    seen: BaseException | None = error
    while seen is not None:
        text = str(seen).lower()
        if isinstance(seen, MemoryError) or any(words in text for words in EXHAUSTED):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
