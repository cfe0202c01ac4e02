"""How the process treats memory that was freed."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 32 * 1024 * 1024
"""Largest threshold of the C library for taking memory from the system block by block."""
NEVER = 2**31 - 1


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
