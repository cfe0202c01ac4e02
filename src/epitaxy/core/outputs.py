"""Files that are written because the user asked for them; no file of theirs is lost."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epitaxy.core.checksums import file_sha256
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file, cache_folder, readable_disk_errors, write_json

RECORD = "outputs.txt"
"""File in the cache folder: checksums of all outputs that were ever written, one per line."""


def check_output(
    out: str | Path,
    *,
    endings: Sequence[str] = (),
    inputs: Iterable[Any] = (),
    overwrite: bool = False,
) -> Path:
    """Refuse an output file that would take the place of something that is not ours.

    Args:
        out: file to write.
        endings: endings that it may have; any, if there are none.
        inputs: what is read: paths, also as parts of ``NAME=FILE:KEY``. Other objects are no files.
        overwrite: replace a file that epitaxy did not write, or that was changed since.

    Raises:
        InputError: ``out`` has another ending, is a folder or device, is read, or is somebody's.
    """
    path = Path(out)
    check_not_read(path, inputs)
    if endings and not path.name.lower().endswith(tuple(endings)):
        raise InputError(f"The output {str(out)!r} must end in {_listed(endings)}.")
    with readable_disk_errors(path):
        found = path.stat() if path.exists() else None
    if found is None:
        return path
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"The output {str(out)!r} is a folder; give the name of a file.")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"The output {str(out)!r} is no plain file; give the name of a file.")
    if not (overwrite or found.st_size == 0 or is_written_here(path)):
        raise InputError(
            f"The output {str(out)!r} exists and was not written by epitaxy, or was changed since; "
            "give another name, or allow to overwrite it (--overwrite)."
        )
    return path


def check_not_read(out: Path, inputs: Iterable[Any]) -> None:
    """Refuse an output, file or folder, that is read, or that holds what is read.

    Raises:
        InputError: as said.
    """
    target = Path(os.path.realpath(out))
    for path in (path for given in inputs for path in _paths(given)):
        is_inside = path.is_dir() and path in target.parents and target.is_file()
        if path == target or target in path.parents or _is_same(path, target):
            raise InputError(f"The output {str(out)!r} is one of the inputs; give another name.")
        if is_inside and not is_written_here(target):
            raise InputError(
                f"The output {str(out)!r} is a file of the folder {str(path)!r}, which is read; "
                "give another name."
            )


@contextmanager
def output_file(out: str | Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of ``out``, and remember what was written.

    Raises:
        InputError: the place cannot be written; what stands there is as it was.
    """
    with atomic_file(out) as temporary:
        yield temporary
        # Before the file has its name: whoever is killed in between can do the same again.
        _remember(file_sha256(temporary))


def write_json_output(out: str | Path, data: Any) -> None:
    """Write ``data`` as indented JSON, as `output_file` does."""
    with output_file(out) as temporary:
        write_json(temporary, data)


def remove_output(path: Path) -> None:
    """Remove a file if epitaxy wrote it."""
    if path.is_file() and is_written_here(path):
        path.unlink()


def is_written_here(path: Path) -> bool:
    """Tell whether epitaxy wrote a file of exactly this content."""
    try:
        known = (cache_folder() / RECORD).read_text(encoding="ascii", errors="replace")
        return file_sha256(path) in known.split()
    except OSError:
        return False


def _remember(checksum: str) -> None:
    """Add a line to the record; without one, replacing the file will need a word of the user."""
    with contextlib.suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        with (cache_folder() / RECORD).open("a", encoding="ascii") as file:
            file.write(f"{checksum}\n")


def _paths(given: Any) -> list[Path]:
    """Return what exists of the paths that an argument may mean."""
    if isinstance(given, list | tuple):
        return [path for one in given for path in _paths(one)]
    if not isinstance(given, str | Path):
        return []
    text = str(given)
    parts = [text, *text.split(",")]
    parts += [part.partition("=")[2] for part in parts]
    parts += [part.rpartition(":")[0] for part in parts]
    found = [Path(part).expanduser() for part in dict.fromkeys(parts) if part]
    return [Path(os.path.realpath(path)) for path in found if _exists(path)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_same(one: Path, two: Path) -> bool:
    """Tell whether two names lead to one file."""
    try:
        return one.samefile(two)
    except OSError:
        return False


def _listed(endings: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(endings[:-1]), endings[-1]]))
