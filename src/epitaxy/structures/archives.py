"""Packed files and archives, read within limits; nothing in them decides where it is written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from epitaxy.core.errors import InputError
from epitaxy.structures.table import Dropped

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
STRUCTURE_SUFFIXES = (".cif", ".mcif", ".vasp", ".poscar", ".extxyz", ".xyz")
PACKED = (".gz", ".bz2", ".xz", ".zip")
MOST_MEMBERS = 200_000
MOST_BYTES = 2 << 30
"""Of one file, or of all members of an archive together, unpacked."""
HIGHEST_RATIO = 200
"""Unpacked to packed size from which a file is refused; texts of numbers reach about 20."""
FREE_BYTES = 1 << 24
"""The ratio counts from this unpacked size on."""
CHUNK = 1 << 20
DAMAGED = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, MemoryError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
)
"""What the readers of the standard library raise, passwords and unknown methods included."""
_STREAMS: dict[str, Callable[[Path], Any]] = {
    ".gz": lambda path: gzip.GzipFile(path, "rb"),
    ".bz2": lambda path: bz2.BZ2File(path, "rb"),
    ".xz": lambda path: lzma.LZMAFile(path, "rb"),  # noqa: SIM115 - closed by the reader
}


def is_archive(path: Path) -> bool:
    """Tell by its name, and for .zip by its content, whether a file holds several others.

    >>> is_archive(Path("all.tar.gz")), is_archive(Path("one.cif.bz2"))
    (True, False)
    """
    name = path.name.lower()
    if not name.endswith(ARCHIVES) or is_companion(path.name):
        return False
    if not name.endswith(".zip") or not path.is_file():
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            members = [i.filename for i in archive.infolist() if _is_wanted(i.filename)]
    except DAMAGED:
        return False
    if len(members) != 1:
        return True
    # one.cif.zip is a packed file, while a.zip with b.cif in it holds a file of another name.
    return members[0].lower().endswith(STRUCTURE_SUFFIXES) and not path.stem.lower().endswith(
        STRUCTURE_SUFFIXES
    )


def is_companion(name: str) -> bool:
    """Tell whether a file only accompanies another: ``._x`` of macOS, ``~$x`` of Office, hidden.

    >>> is_companion("._NaCl.cif"), is_companion("~$table.xlsx"), is_companion("NaCl.cif")
    (True, True, False)
    """
    return name.startswith((".", "~$")) or name == "__MACOSX"


def read_bytes(path: Path) -> bytes:
    """Return the content of a plain, .gz, .bz2, .xz or .zip file (a zip must hold one file).

    Raises:
        InputError: the file cannot be read, is damaged, or unpacks to more than the limits allow.
    """
    packed = path.stat().st_size if path.is_file() else 0
    try:
        suffix = path.suffix.lower()
        if suffix == ".zip":
            return _single_member(path, packed)
        if suffix in _STREAMS:
            with _STREAMS[suffix](path) as stream:
                return _limited(stream, path, packed)
        return path.read_bytes()
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"Could not read {str(path)!r}: {error}.") from error


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, list[Dropped]]]:
    """Give a temporary folder with the files of an archive, and what was left out of it.

    Raises:
        InputError: it is damaged, a member leads outside the archive, or the limits are exceeded.
    """
    with tempfile.TemporaryDirectory(prefix="epitaxy-") as temporary:
        folder = Path(temporary)
        try:
            left_out = _unpack(path, folder)
        except InputError:
            raise
        except DAMAGED as error:
            raise InputError(f"Could not unpack {str(path)!r}: {error}.") from error
        yield folder, left_out


def _unpack(path: Path, folder: Path) -> list[Dropped]:
    left_out: list[Dropped] = []
    packed, total = path.stat().st_size, 0
    for count, (name, size, is_file, stream) in enumerate(_members(path)):
        total += size
        if count >= MOST_MEMBERS:
            raise InputError(
                f"The archive {str(path)!r} holds more than {MOST_MEMBERS:,} members; unpack it "
                "first, and give the folder."
            )
        _check_size(total, packed, path)
        target = _target(name, path)
        if not _is_wanted(name):
            continue
        if not is_file:
            left_out.append(Dropped(name, "a link or device inside the archive"))
            continue
        place = folder / target
        if place.exists():
            left_out.append(Dropped(name, "the archive holds this name twice"))
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        with stream() as source:
            data = _limited(source, path, packed, total - size)
        total += max(0, len(data) - size)
        place.write_bytes(data)
    return left_out


def _members(path: Path) -> Iterator[tuple[str, int, bool, Callable[[], IO[bytes]]]]:
    """Yield ``(name, declared size, whether it is a plain file, how to open it)``."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                link = (info.external_attr >> 16) & 0o170000 == 0o120000
                yield info.filename, info.file_size, not link, lambda i=info: archive.open(i)  # type: ignore[misc]
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.isdir():
                yield (
                    *(member.name, member.size, member.isreg()),
                    lambda m=member: tar.extractfile(m) or io.BytesIO(),  # type: ignore[misc]
                )


def _target(name: str, path: Path) -> PurePosixPath:
    """Return the place of a member below the folder.

    Raises:
        InputError: it would lie elsewhere.
    """
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[:1] or "\0" in name:
        raise InputError(
            f"The archive {str(path)!r} holds {name!r}, which leads outside of it; do not trust it."
        )
    return place


def _is_wanted(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return bool(parts[-1]) and not any(is_companion(part) for part in parts if part != ".")


def _single_member(path: Path, packed: int) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if _is_wanted(n)]
        if len(names) != 1:
            raise InputError(
                f"The archive {str(path)!r} holds {len(names)} files; unpack it and give the "
                "file or folder inside."
            )
        with archive.open(names[0]) as stream:
            return _limited(stream, path, packed)


def _limited(stream: IO[bytes], path: Path, packed: int, before: int = 0) -> bytes:
    """Read a stream to its end, unless it becomes too large.

    Raises:
        InputError: more than `MOST_BYTES`, or more than `HIGHEST_RATIO` times the packed size.
    """
    parts, size = [], before
    while part := stream.read(CHUNK):
        parts.append(part)
        size += len(part)
        _check_size(size, packed, path)
    return b"".join(parts)


def _check_size(size: int, packed: int, path: Path) -> None:
    if size > MOST_BYTES:
        raise InputError(
            f"{str(path)!r} unpacks to more than {MOST_BYTES >> 30} GiB; unpack it first, and give "
            "the file or folder inside."
        )
    if size > FREE_BYTES and size > HIGHEST_RATIO * max(packed, 1):
        raise InputError(
            f"{str(path)!r} unpacks to more than {HIGHEST_RATIO} times its size; if you trust it, "
            "unpack it first, and give the file or folder inside."
        )
