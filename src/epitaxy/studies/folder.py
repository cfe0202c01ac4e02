"""The folder of a study: what is planned, what happened, and what state each run is in."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.core.files import (
    MARKER,
    check_output_folder,
    readable_disk_errors,
    write_json,
    write_text,
)
from epitaxy.core.parsing import parse_json, read_json
from epitaxy.studies.config import Compare, Study
from epitaxy.studies.expanding import Plan, PlannedRun

PLAN, LOG, COPY, RUNS, LOCK = "plan.json", "log.jsonl", "study.yaml", "runs", ".lock"
MESSAGES = "messages"
"""Folder of what the processes say."""
BEGAN = "began"
"""Event of the log: somebody started to work on the study."""
PATIENCE = 2.0
"""Seconds to wait for a lock, which `study status` holds for a moment."""


@dataclass(frozen=True)
class Written:
    """What a study folder says of itself."""

    name: str
    axes: tuple[str, ...]
    plan: Plan
    compare: Compare | None


class StudyFolder:
    """Paths and records below the folder of a study.

    Args:
        root: the folder; it need not exist.
    """

    def __init__(self, root: str | Path) -> None:
        # Absolute, since it stands in the settings of runs that start from others.
        self.root = Path(root).absolute()

    @property
    def messages(self) -> Path:
        """Folder of what the processes say."""
        return self.root / MESSAGES

    def run(self, identity: str) -> Path:
        """Return the folder of a run."""
        return self.root / RUNS / identity

    def check(self, study: Study) -> None:
        """Make sure that the folder is new or holds an earlier form of a study.

        Raises:
            InputError: it holds something else, or a study of another name.
        """
        check_output_folder(self.root)
        if not self.root.is_dir() or not any(self.root.iterdir()):
            return
        if not (self.root / PLAN).is_file():
            raise InputError(
                f"The output folder {str(self.root)!r} holds something other than a study; give "
                "another folder."
            )
        if (name := self.read().name) != study.name:
            raise InputError(
                f"The output folder {str(self.root)!r} holds the study {name!r}, not "
                f"{study.name!r}; give another folder."
            )

    def write(self, study: Study, plan: Plan, text: str) -> None:
        """Write what is planned, and the study file as the user wrote it."""
        (self.root / RUNS).mkdir(exist_ok=True)
        write_text(self.root / COPY, text)
        content = {
            "name": study.name,
            "axes": list(study.axes),
            "compare": study.compare and study.compare.model_dump(mode="json"),
            "runs": [run._asdict() for run in plan.runs.values()],
            "cells": [{"run": identity, "axes": labels} for identity, labels in plan.cells],
        }
        write_json(self.root / PLAN, content)

    def read(self) -> Written:
        """Return what is planned.

        Raises:
            InputError: this is not the folder of a study.
        """
        try:
            content = read_json(self.root / PLAN)
            runs = [PlannedRun(**{**r, "needs": tuple(r["needs"])}) for r in content["runs"]]
            cells = tuple((cell["run"], cell["axes"]) for cell in content["cells"])
            compare = content["compare"] and Compare(**content["compare"])
            axes = tuple(content["axes"])
            return Written(content["name"], axes, Plan({r.id: r for r in runs}, cells), compare)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{str(self.root)!r} is not the folder of a study: give what stood behind --out of "
                "'epitaxy study run'."
            ) from error

    def finished(self) -> set[str]:
        """Return the ids of all finished runs: a run folder gets its name when it is complete."""
        runs = self.root / RUNS
        if not runs.is_dir():
            return set()
        return {path.name for path in runs.iterdir() if not path.name.startswith(".")}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from running the study.

        Raises:
            InputError: somebody else does, or the folder cannot be written.
        """
        with readable_disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / MARKER).touch()
            file = (self.root / LOCK).open("w")
        with file:
            end = time.monotonic() + PATIENCE
            while not _lock(file.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > end:
                    raise InputError(
                        f"Another process is running the study in {str(self.root)!r}; wait for it, "
                        "or watch it with 'epitaxy study status'."
                    )
                time.sleep(0.05)
            yield

    def is_running(self) -> bool:
        """Tell whether somebody works on the study at this moment."""
        try:
            file = (self.root / LOCK).open("r")
        except OSError:
            return False
        with file:
            return not _lock(file.fileno(), fcntl.LOCK_SH)

    def record(self, event: str, **more: Any) -> None:
        """Append a line to the log."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **more}) + "\n"
        # One call writes it whole; a line that a full disk cut off must not swallow this one.
        with readable_disk_errors(self.root), (self.root / LOG).open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())

    def events(self) -> list[Mapping[str, Any]]:
        """Return the log; lines that are not whole are left out."""
        try:
            lines = (self.root / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        events = []
        for line in lines:
            try:
                events.append(parse_json(line))
            except ValueError:
                continue
        return events


def _lock(file: int, kind: int) -> bool:
    """Try to lock an open file; it is free again when the file is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
