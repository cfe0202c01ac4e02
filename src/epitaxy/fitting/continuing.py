"""Fits that go on: interrupted ones, and those that a deadline ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from epitaxy.core.checksums import verified
from epitaxy.core.files import MARKER
from epitaxy.core.parsing import read_json
from epitaxy.fitting.writing import SCORE
from epitaxy.recipes.workspace import CONFIG, config_hash, is_finished, read_config, unfinished

WORK = "work"
KEPT = {MARKER, CONFIG, WORK}
"""From these an interrupted fit continues."""
SAME = {"command", "target", "properties", "seed", "hashes"}
"""Settings on which trainings are kept; all others only say which of them are made."""


def is_complete(out: Path, config: dict[str, Any], *, overwrite: bool) -> bool:
    """Tell whether this very fit stands finished at ``out``, and was not ended by a deadline.

    Raises:
        InputError: another fit, or something that is not ours, stands there.
    """
    others = set(config) - SAME
    if config_hash(read_config(out), others) == config_hash(config, others):
        path = verified(out / SCORE)
        try:
            score = read_json(path)
        except (OSError, ValueError):
            score = {}
        if score.get("deadline") is not None:
            return False
    return is_finished(out, config, overwrite=overwrite)


def set_work_aside(out: Path) -> None:
    """Keep the trainings of a fit that a deadline ended where the next one goes on with them."""
    place = unfinished(out)
    if (out / WORK).is_dir() and not place.exists():
        place.mkdir()
        (place / MARKER).touch()
        shutil.copyfile(out / CONFIG, place / CONFIG)
        (out / WORK).replace(place / WORK)
