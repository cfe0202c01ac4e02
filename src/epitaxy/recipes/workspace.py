"""Where a run is written: beside its final place, resumable, renamed when complete."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from epitaxy.core.checksums import protect, verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import (
    MARKER,
    check_output_folder,
    readable_disk_errors,
    replace_folder,
    write_text,
)
from epitaxy.core.hashing import content_hash
from epitaxy.core.outputs import check_not_read
from epitaxy.core.parsing import read_yaml
from epitaxy.training.resume import FILE as RESUME_FILE

logger = logging.getLogger("epitaxy")
CONFIG = "config.yaml"
HASH = "hash"
PUBLISHED = "published_units"
UNHASHED = {HASH, "versions", "data", "recipe", "deadline_seconds", PUBLISHED}
"""What may differ between two descriptions of one run."""
NEEDED = {MARKER, CONFIG, "history.csv", RESUME_FILE, "logs"}
"""From this an interrupted run continues."""


def config_hash(config: dict[str, Any], without: Collection[str] = ()) -> str:
    """Return the hash by which an interrupted or finished run is recognised.

    ``without`` names further settings that are not looked at.
    """
    left_out = {*UNHASHED, *without}
    return content_hash({k: v for k, v in config.items() if k not in left_out})


def read_config(folder: Path) -> dict[str, Any]:
    """Return the resolved configuration of a run folder, empty when there is none to read.

    Raises:
        InputError: it was damaged or changed since the run was finished.
    """
    path = verified(folder / CONFIG)
    try:
        content = read_yaml(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def run_folder(out: str | Path, inputs: Iterable[Any]) -> Path:
    """Return the folder of a new run.

    Args:
        out: folder to write.
        inputs: what is read: data, models, files of splits.

    Raises:
        InputError: it is not ours to write, is read, or holds what is read.
    """
    check_not_read(Path(out), inputs)
    return check_output_folder(out)


def is_finished(out: Path, config: dict[str, Any], *, overwrite: bool) -> bool:
    """Tell whether this very run stands finished at ``out``.

    Raises:
        InputError: another run, or something that is not ours, stands there.
    """
    check_output_folder(out)
    if overwrite or not out.is_dir() or not any(out.iterdir()):
        return False
    found = read_config(out).get(HASH)
    if found == config_hash(config):
        return True
    what = "a run with other settings or data" if found else "something other than a finished run"
    raise InputError(
        f"The output folder {str(out)!r} holds {what}; give another folder, or allow to overwrite "
        "it (--overwrite)."
    )


@contextmanager
def workspace(
    out: Path,
    config: dict[str, Any],
    *,
    keep: Collection[str] = NEEDED,
    may_differ: Collection[str] = (),
) -> Iterator[Path]:
    """Give the folder in which to work; it becomes ``out`` when the block succeeds.

    A folder left by a killed run of the same configuration is handed out again with the files and
    folders called as in ``keep``, so that the run continues; one of another configuration is
    emptied. Settings in ``may_differ`` may have changed: what is kept does not depend on them.

    Raises:
        InputError: another process works on the same output, or the disk cannot be written.
    """
    folder, real = unfinished(out), Path(os.path.realpath(out))
    with readable_disk_errors(out):
        real.parent.mkdir(parents=True, exist_ok=True)
        with real.with_name(f".{real.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"Another process is writing {str(out)!r}; wait for it or give another folder."
                ) from None
            _prepare(folder, config, keep, may_differ)
            yield folder
            protect(folder)
            check_output_folder(out)  # somebody may have put something there meanwhile
            replace_folder(folder, real)  # a link stays, and what it leads to is replaced
            Path(lock.name).unlink(missing_ok=True)


def unfinished(out: Path) -> Path:
    """Return the folder in which a run for ``out`` is in progress, or was interrupted."""
    real = Path(os.path.realpath(out))
    return real.with_name(f".{real.name}.unfinished")


def _prepare(
    folder: Path, config: dict[str, Any], keep: Collection[str], may_differ: Collection[str]
) -> None:
    check_output_folder(folder)
    found = read_config(folder)
    stamp = config_hash(config)
    same = found.get(HASH) == stamp
    if may_differ and not same:
        same = config_hash(found, may_differ) == config_hash(config, may_differ)
    if folder.exists() and not same:
        shutil.rmtree(folder)
    if folder.exists():
        logger.info("Continuing the interrupted run in %s.", folder)
        for path in folder.iterdir():
            # Half written, or to be written again.
            if path.name not in keep and path.is_file():
                path.unlink()
            elif path.name not in keep:
                shutil.rmtree(path)
        if found[HASH] == stamp:
            return
    folder.mkdir(exist_ok=True)
    (folder / MARKER).touch()
    write_text(folder / CONFIG, yaml.safe_dump({**config, HASH: stamp}, sort_keys=False))
