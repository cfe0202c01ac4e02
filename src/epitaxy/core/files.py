"""Writing files and folders so that a crash or a full disk never leaves half of one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epitaxy.core.errors import DiskError, InputError

MARKER = ".epitaxy"
"""Name of the small file that tells a folder of ours from somebody else's."""
VALUABLE = ("model.json", "fit.json", "config.yaml", "plan.json", "sources.csv")
"""In a folder of ours, signs of something that took long to make."""


@contextmanager
def readable_disk_errors(target: Path) -> Iterator[None]:
    """Turn the operating system's "disk full" and "not permitted" into a sentence.

    Raises:
        DiskError: when writing below ``target`` fails for one of these reasons.
    """
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; free some space",
            errno.EFBIG: "the file would be larger than the system allows; raise that limit",
            errno.EIO: "the disk reports a fault; choose another place",
            errno.ENOENT: "a folder on the way to it has gone; make it anew",
            errno.ELOOP: "that link leads back to itself; choose another place",
            errno.EPERM: "writing there is not permitted; choose another place",
            errno.EDQUOT: "the disk quota is used up; free some space",
            errno.EACCES: "writing there is not permitted; choose another place",
            errno.EROFS: "that disk is read-only; choose another place",
            errno.ENOTDIR: "a part of that path is a file; choose another place",
            errno.EEXIST: "a part of that path is a file; choose another place",
            errno.EISDIR: "that is a folder; give the name of a file",
            errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
        }
        if error.errno not in reasons:
            raise
        reason = reasons[error.errno]
        raise DiskError(f"Could not write {str(target)!r}: {reason} and run again.") from error


@contextmanager
def atomic_file(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``target`` that takes its place when the block succeeds.

    Raises:
        InputError: the disk is full or the place cannot be written; ``target`` is as it was.
    """
    # A link stays, and what it leads to is replaced. Absolute, because pyarrow takes a relative
    # path with a colon for an address.
    real = Path(os.path.realpath(target))
    temporary = real.with_name(f".{real.name}.{os.getpid()}.tmp")
    with readable_disk_errors(Path(target)):
        real.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(real)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(target: str | Path, text: str) -> None:
    """Write ``text`` to ``target`` (UTF-8), all or nothing."""
    with atomic_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: str | Path, data: Any) -> None:
    """Write ``data`` as indented JSON, all or nothing; NaN is refused (JSON has none)."""
    write_text(target, json.dumps(data, indent=1, allow_nan=False) + "\n")


def file_and_key(text: str) -> tuple[Path, str] | None:
    """Split ``FILE`` or ``FILE:KEY``, where FILE must exist; None when it does not.

    >>> file_and_key("nosuch.json:a/b") is None
    True
    """
    if Path(text).is_file():
        return Path(text), ""
    path, _, key = text.rpartition(":")
    return (Path(path), key) if path and Path(path).is_file() else None


def is_ours(folder: Path) -> bool:
    """Tell whether a folder was written by this program."""
    return (folder / MARKER).is_file()


def check_output_folder(folder: str | Path) -> Path:
    """Refuse an output path that would overwrite something this program did not write.

    Raises:
        InputError: ``folder`` is a file, or a folder with content that is not ours.
    """
    folder = Path(folder)
    with readable_disk_errors(folder):
        is_file, is_used = folder.is_file(), folder.is_dir() and any(folder.iterdir())
    if is_file:
        raise InputError(f"The output {str(folder)!r} is an existing file; give a folder.")
    if is_used and not is_ours(folder):
        raise InputError(
            f"The output folder {str(folder)!r} exists and was not written by epitaxy; "
            "give a new folder, or empty that one yourself."
        )
    return folder


@contextmanager
def atomic_folder(target: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``target`` that takes its place when the block succeeds.

    Args:
        target: folder to write; where a link stands, that to which it leads.
        overwrite: replace even a model, a run or a study.

    Raises:
        InputError: ``target`` is not ours to replace, or the disk is full.
    """
    check_output_folder(target)
    valuable = [name for name in VALUABLE if (Path(target) / name).is_file()]
    if valuable and not overwrite:
        raise InputError(
            f"The output folder {str(target)!r} holds a model, a run or a study ({valuable[0]}); "
            "give another folder."
        )
    target = Path(os.path.realpath(target))
    with readable_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            (temporary / MARKER).touch()
            yield temporary
            replace_folder(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``; what stood at ``target`` goes only after that succeeded."""
    umask = os.umask(0)
    os.umask(umask)
    source.chmod(0o777 & ~umask)
    old = target.with_name(f".{target.name}.old.{os.getpid()}")
    if target.exists():
        target.replace(old)
    source.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def cache_folder() -> Path:
    """Return the folder of remakeable files: ``$EPITAXY_CACHE`` or ``~/.cache/epitaxy``.

    Users without a home get one below the folder of temporary files. The folder is not created
    here; whoever writes into it does so (see `atomic_file`).
    """
    chosen = os.environ.get("EPITAXY_CACHE")
    try:
        return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "epitaxy"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"epitaxy-{os.getuid()}"
