"""Reading other projects' torch files without executing anything that stands in them."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from epitaxy.core.errors import InputError

LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickled number with which every torch file of the older, non-zip kind begins."""

ZIP_MAGIC = b"PK\x03\x04"

NUMBER_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class InertDtype:
    """Takes the place of `numpy.dtype` in a pickle; remembers the name of a number type only.

    NumPy's own class would accept, from a forged file, flags that break the interpreter.
    """

    def __init__(self, code: str, *_flags: object) -> None:
        if code not in NUMBER_CODES:
            raise pickle.UnpicklingError(f"number type {code!r}")
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", ">": ">"}.get(state[1], "=")


def scalar(dtype: InertDtype, raw: bytes) -> float:
    """Turn a pickled NumPy scalar into a plain number.

    >>> scalar(InertDtype("i2"), bytes([1, 0]))
    1
    """
    number: float = np.frombuffer(raw, dtype=dtype.order + dtype.code, count=1)[0].item()
    return number


ALLOWED: list[Any] = [
    (InertDtype, "numpy.dtype"),
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
]
"""What may stand in a file besides tensors and plain containers, which torch allows by itself."""


def read_torch_file(path: str | Path) -> dict[str, Any]:
    """Read the dictionary in a torch file, zip or legacy, with all tensors on the CPU.

    Raises:
        InputError: the file is missing, empty, damaged or of another format, or its pickle asks
            for code; nothing of it is ever executed.
    """
    path = Path(path)
    try:
        check_kind(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(ALLOWED):
            warnings.simplefilter("ignore")  # remarks on the age of the format help nobody here
            content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a damaged file can break its parser in any way
        raise explained(path, error) from error
    if not isinstance(content, dict):
        raise InputError(
            f"The torch file {str(path)!r} holds a {type(content).__name__}, not a dictionary "
            "with weights; give a checkpoint written from a state_dict."
        )
    return content


def check_kind(path: Path) -> None:
    """Look at the first bytes, and at the checksums of a zip file, before anything is parsed.

    Raises:
        InputError: this is not a complete torch file.
    """
    if not path.exists():
        raise InputError(f"The checkpoint {str(path)!r} does not exist; check the path.")
    if not path.is_file():
        raise InputError(f"The checkpoint {str(path)!r} is not a file; give one torch file.")
    with path.open("rb") as stream:
        head = stream.read(2 + len(LEGACY_MAGIC))
    if not head:
        raise InputError(f"The checkpoint {str(path)!r} is empty; copy or download it again.")
    if head.startswith(ZIP_MAGIC):
        check_zip(path)
    elif head[2:] != LEGACY_MAGIC:
        raise InputError(
            f"The file {str(path)!r} is not a torch checkpoint: it begins with neither of the two "
            "signatures that torch.save writes."
        )


def check_zip(path: Path) -> None:
    """Compare the parts of a zip file with their checksums, which torch itself does not do.

    Raises:
        InputError: the file ends early, a part is damaged, or it is some other zip file.
    """
    if not zipfile.is_zipfile(path):
        raise damaged(path)
    with zipfile.ZipFile(path) as archive:
        if not any(name.endswith("/data.pkl") for name in archive.namelist()):
            raise InputError(
                f"The file {str(path)!r} is a zip file but not a torch checkpoint: it has no part "
                "named data.pkl."
            )
        if archive.testzip() is not None:
            raise damaged(path)


def damaged(path: Path) -> InputError:
    """Build the error for a file that began well and went wrong."""
    return InputError(
        f"The checkpoint {str(path)!r} is damaged or ends early; copy or download it again."
    )


def explained(path: Path, error: Exception) -> InputError:
    """Say what stopped torch's restricted loader: code in the pickle, a right, or damage."""
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return InputError(
            f"The checkpoint {str(path)!r} asks for the Python object {refused[1]!r}, which is "
            "neither a tensor nor a plain container; it was refused and nothing was executed: "
            "save its state_dict alone and give that file."
        )
    if isinstance(error, PermissionError):
        return InputError(f"The checkpoint {str(path)!r} may not be read; change its permissions.")
    if isinstance(error, pickle.UnpicklingError):
        return InputError(
            f"The checkpoint {str(path)!r} is damaged, or holds more than tensors and plain "
            "containers; nothing was executed: save its state_dict alone and give that file."
        )
    if "TorchScript" in str(error):
        return InputError(
            f"The file {str(path)!r} is a TorchScript program, not a checkpoint; nothing of it "
            "was executed: give a file written with torch.save."
        )
    return damaged(path)
