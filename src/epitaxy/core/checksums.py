"""`checksums.json`: what the files of a run held when it was finished, so that damage is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from epitaxy.core.errors import InputError
from epitaxy.core.files import write_json
from epitaxy.core.parsing import read_json

CHECKSUMS = "checksums.json"
FORMAT = "epitaxy-checksums"
VERSION = 1
COVERED = frozenset({".csv", ".json", ".parquet", ".safetensors", ".yaml"})
"""Endings of files that later commands read. Pages, cards and figures are for people, who may write
into them."""
APART = frozenset({"figures", "logs", "work"})
"""Folders of a run that nothing reads, or that go on changing."""
BUNDLE = "fit.json"
"""Stands beside a list that also covers the models in folders below."""
DEEPEST = 4
"""Parts of the path of a file in a bundle."""


class Listed(NamedTuple):
    """What is known of a file."""

    size: int
    sha256: str


def file_sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_list(folder: Path, paths: Iterable[PurePath]) -> None:
    """Write ``checksums.json`` for files of ``folder``, given by their paths below it."""
    listed = {
        path.as_posix(): {
            "bytes": (folder / path).stat().st_size,
            "sha256": file_sha256(folder / path),
        }
        for path in paths
    }
    write_json(folder / CHECKSUMS, {"format": FORMAT, "version": VERSION, "files": listed})


def read_list(path: Path) -> dict[str, Listed]:
    """Read ``checksums.json``: path below its folder -> size and checksum.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such list, or one of another version.
    """
    data: Any = read_json(path)
    try:
        known = (data["format"], data["version"]) == (FORMAT, VERSION)
        files = data["files"].items()
        found = {str(n): Listed(int(f["bytes"]), str(f["sha256"])) for n, f in files}
    except (LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is no list of checksums: {str(error)[:80]}") from error
    if not known:
        raise ValueError(f"it is no list of checksums of version {VERSION}")
    return found


def protect(folder: Path) -> None:
    """Write ``checksums.json`` for all files of a finished folder that later commands read."""
    paths = (p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file())
    write_list(folder, [p for p in paths if _is_covered(p)])


def verified(path: Path) -> Path:
    """Return ``path`` if the file is what it was when its folder was finished.

    A file in a folder without ``checksums.json`` is not checked: older runs have none.

    Raises:
        InputError: the file was damaged or changed, or the list of checksums was.
    """
    root = _root(path)
    if root is None or not path.is_file():
        return path
    try:
        listed = read_list(root / CHECKSUMS)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(root / CHECKSUMS)!r} cannot be read ({error}), so nobody knows whether the run "
            "is whole; copy the whole folder again."
        ) from error
    name = path.relative_to(root).as_posix()
    found = listed.get(name)
    if found is None:
        raise InputError(
            f"{str(path)!r} is not in the list {CHECKSUMS!r} of its folder; one of the two is "
            "damaged or comes from elsewhere: copy the whole folder again."
        )
    if path.stat().st_size != found.size or file_sha256(path) != found.sha256:
        raise InputError(
            f"{str(path)!r} is damaged or was changed: it does not have the checksum that "
            f"{str(root / CHECKSUMS)!r} says; copy the whole folder again, or remove it "
            "and make it anew."
        )
    return path


def _is_covered(path: Path) -> bool:
    plain = not path.name.startswith(".") and path.name != CHECKSUMS
    return plain and path.suffix in COVERED and not APART & set(path.parts[:-1])


def _root(path: Path) -> Path | None:
    """Return the folder whose list should know the file; None where there is none."""
    for depth, folder in enumerate(path.parents[:DEEPEST]):
        if (folder / CHECKSUMS).is_file() and (depth == 0 or (folder / BUNDLE).is_file()):
            return folder
    return None
