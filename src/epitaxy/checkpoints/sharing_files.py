"""What a shared model consists of: which files, how large, under which checksums."""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from epitaxy.checkpoints.learned import FILE as LEARNED
from epitaxy.checkpoints.sharing_download import check_sha256
from epitaxy.checkpoints.sharing_watch import CHUNK
from epitaxy.core.checksums import CHECKSUMS, Listed, file_sha256, read_list, write_list
from epitaxy.core.errors import InputError

HEADERS = ("model.json", "fit.json")
"""One of them stands at the top of a shared model: of a network, or of what `fit` hands over."""
LARGEST: Mapping[str, int] = {".json": 16 << 20, ".md": 1 << 20, ".safetensors": 2 << 30}
"""Ending -> bytes of the largest file of that kind. Nothing else is read or written."""
LARGEST_ARCHIVE = 2 << 30
LARGEST_MODEL = 4 << 30
"""Bytes of all files of a model: a small archive can unpack to very much."""
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError),
)
"""What damaged archives raise."""
MOST_FILES = 200
DEEPEST = 4
"""Parts of a path, the file included."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
Opener = Callable[[], IO[bytes] | None]
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}")


def safe_path(text: str, origin: str) -> PurePosixPath:
    """Return a relative path of plain names.

    >>> safe_path("members/0/model.json", "x.zip")
    PurePosixPath('members/0/model.json')
    >>> safe_path("../model.json", "x.zip")
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: 'x.zip' holds the name '../model.json', which does not stay in \
its folder; it is not unpacked.

    Raises:
        InputError: it is absolute, leads upwards, or holds a backslash, colon or control character.
    """
    parts = text.split("/")
    if {"", ".", ".."} & set(parts) or not text.isprintable() or set("\\:") & set(text):
        raise InputError(
            f"{origin!r} holds the name {text[:80]!r}, which does not stay in its folder; it is "
            "not unpacked."
        )
    return PurePosixPath(*parts)


def is_part_of_a_model(path: PurePosixPath) -> bool:
    """Tell whether a file is of a kind that shared models consist of.

    >>> [is_part_of_a_model(PurePosixPath(n)) for n in ("model.json", ".x.json", "model.pkl")]
    [True, False, False]
    """
    shallow = len(path.parts) <= DEEPEST
    return path.suffix in LARGEST and shallow and all(PART.fullmatch(p) for p in path.parts)


def model_files(folder: Path) -> list[PurePosixPath]:
    """Return the relative paths of a folder that a shared model consists of, sorted.

    What the model has learned is left out: its owner may not want to show the labels. A
    fingerprint that tells only which materials they were of takes its place.
    """
    found = (p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file())
    paths = [PurePosixPath(path.as_posix()) for path in found]
    private = {CHECKSUMS, LEARNED}
    return [path for path in paths if is_part_of_a_model(path) and path.name not in private]


def write_checksums(folder: Path) -> str:
    """Write ``checksums.json`` for all files of a folder and return its own checksum."""
    write_list(folder, model_files(folder))
    return file_sha256(folder / CHECKSUMS)


def read_checksums(path: Path, origin: str) -> dict[str, Listed]:
    """Read ``checksums.json``: relative path -> size and checksum.

    Raises:
        InputError: it is no such file, or lists files that no shared model may have.
    """
    try:
        files = read_list(path)
    except ValueError as error:
        raise InputError(
            f"{CHECKSUMS} of {origin!r} cannot be read ({str(error)[:120]}); write it with: "
            "epitaxy zoo push."
        ) from error
    if len(files) > MOST_FILES:
        raise InputError(f"{origin!r} lists {len(files)} files; at most {MOST_FILES} are read.")
    for name, (size, _) in files.items():
        _check_kind_and_size(safe_path(name, origin), size, origin)
    total = sum(size for size, _ in files.values())
    if total > LARGEST_MODEL:
        raise InputError(
            f"{origin!r} lists files of {total:,} bytes together; a model may have at most "
            f"{LARGEST_MODEL:,}."
        )
    return {name: Listed(size, check_sha256(sha)) for name, (size, sha) in files.items()}


def _check_kind_and_size(path: PurePosixPath, size: int, origin: str) -> None:
    if not is_part_of_a_model(path):
        raise InputError(
            f"{origin!r} lists {str(path)!r}; a shared model consists of {', '.join(LARGEST)} only."
        )
    if not 0 <= size <= LARGEST[path.suffix]:
        raise InputError(
            f"{str(path)!r} of {origin!r} has {size:,} bytes; {path.suffix} files may have at most "
            f"{LARGEST[path.suffix]:,}."
        )


def unpack(archive: Path, folder: Path, origin: str) -> list[str]:
    """Unpack the files of a model from a zip or tar archive; nothing else is written.

    A folder around all files is left out. Links, devices, and names that lead out of the folder
    make the whole archive suspect, and it is refused.

    Returns:
        Names that were left out because models do not consist of such files.

    Raises:
        InputError: it is no archive, holds suspect names or links, or too much.
    """
    with _opened(archive, origin) as entries:
        paths = {}
        for name, opener in entries.items():
            path = safe_path(name, origin)
            if path in paths:
                raise InputError(f"{origin!r} holds {name!r} twice; it is not unpacked.")
            paths[path] = opener
        models = [path for path in paths if path.name in HEADERS]
        if not models:
            raise InputError(
                f"{origin!r} holds no {' or '.join(HEADERS)}, so there is no model in it."
            )
        root = min(models, key=lambda path: len(path.parts)).parent
        left_out, room = [], LARGEST_MODEL
        for path, opener in paths.items():
            inside = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath(".x")
            if is_part_of_a_model(inside):
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                room -= _write(opener, target, LARGEST[path.suffix], origin)
                if room < 0:
                    raise InputError(
                        f"The files of {origin!r} have more than {LARGEST_MODEL:,} bytes together; "
                        "it is not unpacked."
                    )
            else:
                left_out.append(str(path))
    return left_out


@contextmanager
def _opened(archive: Path, origin: str) -> Iterator[dict[str, Opener]]:
    """Give the regular files of an archive: name -> function that opens it."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield _zip_entries(zipped, origin)
        else:
            with tarfile.open(archive, "r:*") as tarred:
                yield _tar_entries(tarred, origin)
    except BROKEN as error:
        raise InputError(
            f"{origin!r} is no complete archive ({error}); ask its owner for another."
        ) from error


def _zip_entries(archive: zipfile.ZipFile, origin: str) -> dict[str, Opener]:
    _check_count(len(archive.infolist()), origin)
    entries: dict[str, Opener] = {}
    for info in archive.infolist():
        if info.is_dir():
            continue
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG} or info.flag_bits & 1:
            raise _suspect(info.filename, origin)
        if info.filename in entries:
            raise InputError(f"{origin!r} holds {info.filename!r} twice; it is not unpacked.")
        entries[info.filename] = partial(archive.open, info)
    return entries


def _tar_entries(archive: tarfile.TarFile, origin: str) -> dict[str, Opener]:
    entries: dict[str, Opener] = {}
    for number, info in enumerate(archive, start=1):
        _check_count(number, origin)
        if info.isdir():
            continue
        if not info.isreg():
            raise _suspect(info.name, origin)
        name = info.name.removeprefix("./")
        if name in entries:
            raise InputError(f"{origin!r} holds {name!r} twice; it is not unpacked.")
        entries[name] = partial(archive.extractfile, info)
    return entries


def _suspect(name: str, origin: str) -> InputError:
    return InputError(
        f"{origin!r} holds {name[:80]!r}, which is a link, a device or encrypted; it is not "
        "unpacked."
    )


def _check_count(n: int, origin: str) -> None:
    if n > MOST_FILES:
        raise InputError(f"{origin!r} holds more than {MOST_FILES} entries; it is not unpacked.")


def _write(opener: Opener, target: Path, largest: int, origin: str) -> int:
    """Copy a file of an archive, whatever size the archive says it has; return its size."""
    size = 0
    source = opener()
    assert source is not None
    with source, target.open("wb") as file:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > largest:
                raise InputError(
                    f"{target.name!r} of {origin!r} has more than {largest:,} bytes; it is not "
                    "unpacked."
                )
            file.write(chunk)
    return size
