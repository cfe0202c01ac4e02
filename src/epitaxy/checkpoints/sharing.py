"""Models that others share: `zoo_pull` brings one into the local zoo, `zoo_push` gives one away."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from epitaxy.checkpoints.learned import FILE as LEARNED
from epitaxy.checkpoints.learned import read_learned
from epitaxy.checkpoints.model_files import ZOO, load_model, model_folder, pulled_folder, zoo_names
from epitaxy.checkpoints.sharing_card import model_card, without_front
from epitaxy.checkpoints.sharing_download import check_address, check_sha256, download
from epitaxy.checkpoints.sharing_files import (
    ARCHIVES,
    HEADERS,
    LARGEST,
    LARGEST_ARCHIVE,
    model_files,
    read_checksums,
    unpack,
    write_checksums,
)
from epitaxy.checkpoints.sharing_hub import HUB, hub_download, hub_upload
from epitaxy.core.checksums import CHECKSUMS, file_sha256, protect, verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_folder, readable_disk_errors, write_json, write_text
from epitaxy.core.outputs import check_not_read
from epitaxy.core.parsing import read_json

logger = logging.getLogger("epitaxy")
CARD, READ_ME, ORIGIN = "card.md", "README.md", "origin.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DOWNLOADS = ".downloads"
"""Folder of unfinished downloads in the local zoo."""


@dataclass(frozen=True)
class Shared:
    """Where a model was written, or where it can be had."""

    place: str
    """``zoo:NAME``, a folder, or the address of a repository."""
    sha256: str
    """Checksum to give to others; of the archive, or of ``checksums.json``."""


def zoo_pull(
    source: str,
    *,
    sha256: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> Shared:
    """Bring a shared model into the local zoo, where it is ``zoo:NAME``.

    Only safetensors, JSON and Markdown are read, of limited size; nothing is executed. An
    interrupted download is continued by the same call, and a finished one is not repeated.

    Args:
        source: ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``, a repository of the Hugging Face
            hub (extra ``hub``); or an https address of an archive (.zip, .tar, .tar.gz, .tgz), or
            of a folder with ``checksums.json`` (ending in ``/``), as `zoo_push` writes it.
        sha256: checksum of the archive, or of the file ``checksums.json`` of a folder; needed for
            addresses, which anybody may have written.
        name: how the model is called here; the last part of the address when left out.
        overwrite: replace a model of this name.

    Raises:
        InputError: the address, checksum or name is wrong, the download is interrupted, or what
            came is no model.
    """
    if not source.startswith(HUB):
        check_address(source)
    called = _name_for(source, name)
    target = pulled_folder() / called
    expected = None if sha256 is None else check_sha256(sha256)
    if target.exists() and not overwrite:
        if expected is not None and _origin(target) == (source, expected):
            logger.info("%s is %s already.", source, ZOO + called)
            return Shared(ZOO + called, expected)
        raise InputError(
            f"There is a model {ZOO + called} already; give another --name, or --overwrite."
        )
    if expected is None and not source.startswith(HUB):
        raise InputError(
            f"The checksum of {source!r} is missing: give --sha256, as its owner states it."
        )
    with (
        _fetched(source, expected) as (folder, found),
        atomic_folder(target, overwrite=overwrite) as new,
    ):
        _install(folder, new, source, found)
    logger.info("%s is now %s.", source, ZOO + called)
    return Shared(ZOO + called, found["sha256"])


def zoo_push(
    model: str | Path,
    target: str | Path,
    *,
    licence: str = "",
    description: str = "",
) -> Shared:
    """Write a model as others can pull it: its files, a card, and their checksums.

    Args:
        model: run folder, of `fit`, too, or ``zoo:NAME``.
        target: new folder, to be put on a web server as it is; or ``hub:OWNER/NAME``, a repository
            of the Hugging Face hub, for which you are logged in (``hf auth login``).
        licence: of the weights; goes into the card.
        description: a sentence or two for the card.

    Raises:
        InputError: there is no model, the folder is used, or the hub refuses.
    """
    given = Path(model)
    source = given if (given / "fit.json").is_file() else model_folder(model)
    _check_networks(source)
    if str(target).startswith(HUB):
        with tempfile.TemporaryDirectory() as temporary:
            sha256 = _export(source, Path(temporary), licence, description)
            address = hub_upload(str(target).removeprefix(HUB), Path(temporary))
        return Shared(address, sha256)
    check_not_read(Path(target), [source])
    with atomic_folder(target, overwrite=_is_pushed(Path(target))) as new:
        sha256 = _export(source, new, licence, description)
    return Shared(str(target), sha256)


def _origin(model: Path) -> tuple[Any, Any]:
    """Return whence a model was pulled, and under which checksum; None where it does not say."""
    try:
        found = read_json(verified(model / ORIGIN))
        return found.get("source"), found.get("sha256")
    except (OSError, ValueError, AttributeError):
        return None, None


def _is_pushed(folder: Path) -> bool:
    """Tell whether a folder was written by `zoo_push`, which can do it again."""
    return (folder / READ_ME).is_file() and not (folder / "config.yaml").is_file()


def _export(source: Path, folder: Path, licence: str, description: str) -> str:
    """Copy the files of a model beside a card; return the checksum of the list of checksums."""
    for path in model_files(source):
        if path.suffix == ".md" or path.name in {ORIGIN, "metrics.json", "score.json"}:
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
        if path.name == "model.json":
            header = read_json(source / path)
            header["provenance"] = without_paths(header.get("provenance", {}))
            write_json(folder / path, header)
    if (source / LEARNED).is_file():
        read_learned(source).write_fingerprint(folder)
    text = model_card(source, licence=licence, description=description)
    write_text(folder / READ_ME, text)
    return write_checksums(folder)


def _name_for(source: str, name: str | None) -> str:
    """Return the name in the local zoo.

    Raises:
        InputError: it has odd characters, or is that of a shipped model.
    """
    if name is None:
        path = source.removeprefix(HUB).partition("@")[0] if source.startswith(HUB) else source
        name = urlsplit(path).path.rstrip("/").rpartition("/")[2]
        for ending in sorted(ARCHIVES, key=len, reverse=True):
            name = name.removesuffix(ending)
    name = name.removeprefix(ZOO)
    if not NAME.fullmatch(name):
        raise InputError(
            f"The name {name!r} must consist of at most 64 letters, digits, '.', '-' and '_'; "
            "give one with --name."
        )
    if name in zoo_names():
        raise InputError(f"{ZOO + name} is a shipped model; give another --name.")
    return name


@contextmanager
def _fetched(source: str, sha256: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give a folder with the files of a shared model, and what is known of their origin."""
    if source.startswith(HUB):
        with tempfile.TemporaryDirectory() as temporary:
            commit = hub_download(source.removeprefix(HUB), Path(temporary), _list_of)
            found = file_sha256(Path(temporary) / CHECKSUMS)
            _same(source, found, sha256)
            yield Path(temporary), {"sha256": found, "commit": commit}
        return
    assert sha256 is not None
    downloads = pulled_folder() / DOWNLOADS / sha256
    path = urlsplit(source).path
    if path.endswith("/"):
        _fetch_folder(source, downloads, sha256)
        yield downloads, {"sha256": sha256}
    elif path.endswith(ARCHIVES):
        download(source, downloads / "archive", sha256=sha256, largest=LARGEST_ARCHIVE)
        with tempfile.TemporaryDirectory(dir=downloads) as temporary:
            left_out = unpack(downloads / "archive", Path(temporary), source)
            if left_out:
                logger.info("Left out of %s: %s.", source, ", ".join(left_out[:5]))
            yield Path(temporary), {"sha256": sha256}
    else:
        raise InputError(
            f"The address {source!r} must end in {', '.join(ARCHIVES)}, or in '/' for a folder "
            f"with {CHECKSUMS}."
        )
    with readable_disk_errors(downloads):
        shutil.rmtree(downloads)


def _fetch_folder(address: str, folder: Path, sha256: str) -> None:
    """Download ``checksums.json`` and what it lists; files that are there already are kept."""
    listing = folder / CHECKSUMS
    if not listing.is_file() or file_sha256(listing) != sha256:
        listing.unlink(missing_ok=True)
        download(urljoin(address, CHECKSUMS), listing, sha256=sha256, largest=LARGEST[".json"])
    for path, entry in read_checksums(listing, address).items():
        target = folder / path
        if not (target.is_file() and file_sha256(target) == entry.sha256):
            download(urljoin(address, path), target, sha256=entry.sha256, largest=entry.size)


def _list_of(folder: Path, origin: str) -> dict[str, int]:
    """Return the files that the list of checksums of a repository names, with their sizes."""
    return {name: entry.size for name, entry in read_checksums(folder / CHECKSUMS, origin).items()}


def _same(source: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        raise InputError(
            f"{CHECKSUMS} of {source!r} has the checksum {found}, but {expected} was expected; "
            "nothing was kept."
        )


def _install(folder: Path, new: Path, source: str, found: dict[str, Any]) -> None:
    """Check and copy the files of a model; it must load.

    Raises:
        InputError: a checksum is wrong, or the files are no model.
    """
    if (folder / CHECKSUMS).is_file():
        for name, entry in read_checksums(folder / CHECKSUMS, source).items():
            if not (folder / name).is_file() or file_sha256(folder / name) != entry.sha256:
                raise InputError(f"{name!r} of {source!r} is missing or damaged; pull it again.")
    for path in model_files(folder):
        target = new / (CARD if path == PurePosixPath(READ_ME) else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = (folder / path).read_text(encoding="utf-8", errors="replace")
            write_text(target, printable(without_front(text)))
        else:
            shutil.copyfile(folder / path, target)
    if not any((new / name).is_file() for name in HEADERS):
        raise InputError(f"{source!r} holds no {' or '.join(HEADERS)}, so it is no model.")
    _check_networks(new)
    write_json(new / ORIGIN, {"source": source, **found})
    protect(new)


def _check_networks(folder: Path) -> None:
    """Make sure that every network loads completely; a bundle of `fit` holds several or none.

    Raises:
        InputError: one does not.
    """
    for path in sorted(folder.rglob("model.json")):
        load_model(path.parent)


def printable(text: str) -> str:
    r"""Leave out what would steer a terminal.

    >>> printable("a\x1b[2Jb\n")
    'a[2Jb\n'
    """
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def without_paths(content: Any) -> Any:
    """Return provenance with the last part of every path only.

    >>> without_paths({"data": "/home/me/gaps.csv", "parent": {"from": "zoo:x"}})
    {'data': 'gaps.csv', 'parent': {'from': 'zoo:x'}}
    """
    if isinstance(content, dict):
        return {key: without_paths(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_paths(value) for value in content]
    # Windows rules split at both kinds of slashes.
    return PureWindowsPath(content).name or content if isinstance(content, str) else content
