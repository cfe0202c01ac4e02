"""`run_study`: from a study file to run folders."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epitaxy.core.files import readable_disk_errors
from epitaxy.core.progress import Progress
from epitaxy.studies.checking import mistakes
from epitaxy.studies.config import SOURCE, Study, complaint, read_study
from epitaxy.studies.executors import EXECUTORS
from epitaxy.studies.expanding import Plan, PlannedRun, plan
from epitaxy.studies.folder import BEGAN, StudyFolder
from epitaxy.studies.scheduling import Event, schedule
from epitaxy.studies.tasks import Task
from epitaxy.studies.verbs import arguments_of

logger = logging.getLogger("epitaxy")


@dataclass(frozen=True)
class StudyRun:
    """What a call of `run_study` did."""

    folder: Path
    plan: Plan
    finished_before: int
    """Runs of the plan that were finished already."""
    finished: int
    """Runs that this call finished."""
    failed: Mapping[str, str]
    """Run -> why there is none; those that needed a failed one are among them."""


def plan_study(study: str | Path) -> tuple[Study, Plan]:
    """Read a study file and return what it asks for.

    Raises:
        InputError: all that is wrong with it.
    """
    read, found = read_study(study)
    if read is not None:
        found = [*found, *mistakes(read)]
    if found:
        raise complaint(study, found)
    assert read is not None
    return read, plan(read, arguments_of())


def run_study(
    study: str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    dry_run: bool = False,
    executor: str = "local",
) -> StudyRun:
    """Execute all runs of a study that are not finished, and go on with those that were stopped.

    Args:
        study: YAML file, see `Study`.
        out: folder to write: one folder per run below ``runs``, ``study.yaml``, ``plan.json`` and
            ``log.jsonl``. The folder of an earlier call is continued.
        workers: processes; by default one per core, or fewer where memory is short.
        dry_run: say what would be done and write nothing.
        executor: where runs are executed, see `EXECUTORS`.

    Returns:
        What happened; runs that failed are in it and raise nothing.

    Raises:
        InputError: the file has mistakes (all are listed), another process is running the study,
            or ``out`` holds something else.
    """
    read, planned = plan_study(study)
    folder = StudyFolder(out)
    folder.check(read)
    if dry_run:
        done = len(folder.finished() & planned.runs.keys())
        return StudyRun(folder.root, planned, done, 0, {})
    with folder.locked():
        folder.write(read, planned, Path(study).read_text(encoding="utf-8"))
        done = len(folder.finished() & planned.runs.keys())
        with readable_disk_errors(folder.root):
            failed = _execute(folder, planned, executor, workers)
    finished = len(planned.runs) - done - len(failed)
    return StudyRun(folder.root, planned, done, finished, failed)


def _execute(
    folder: StudyFolder, planned: Plan, executor: str, workers: int | None
) -> dict[str, str]:
    """Execute what is not finished; return why some runs failed."""
    finished = folder.finished()
    left = {i: run for i, run in planned.runs.items() if i not in finished}
    if not left:
        return {}
    tasks = {i: _task(folder, run) for i, run in left.items()}
    needs = {i: run.needs for i, run in left.items()}
    failed: dict[str, str] = {}
    with (
        EXECUTORS[executor](folder.messages, workers) as machine,
        Progress(len(tasks), "study") as bar,
    ):
        folder.record(BEGAN, workers=machine.workers)
        for event in schedule(tasks, needs, machine):
            _record(folder, event)
            if event.kind in {"failed", "not run"}:
                failed[event.id] = event.reason
            if event.kind in {"finished", "failed", "not run"}:
                bar.step(note=f"{len(failed)} failed" if failed else "")
            if event.kind in {"failed", "retried"}:
                logger.warning("Run %s %s: %s", event.id, event.kind, event.reason)
    return failed


def _record(folder: StudyFolder, event: Event) -> None:
    more: dict[str, Any] = {"run": event.id}
    if event.seconds:
        more["seconds"] = round(event.seconds, 3)
    if event.reason:
        more["reason"] = event.reason
    folder.record(event.kind, **more)


def _task(folder: StudyFolder, run: PlannedRun) -> Task:
    return Task(run.id, run.verb, _with_folders(run.arguments, folder), str(folder.run(run.id)))


def _with_folders(node: Any, folder: StudyFolder) -> Any:
    """Put the folders of runs in the place of their names."""
    if isinstance(node, Mapping):
        return {key: _with_folders(part, folder) for key, part in node.items()}
    if isinstance(node, list):
        return [_with_folders(part, folder) for part in node]
    if isinstance(node, str) and node.startswith(SOURCE):
        return str(folder.run(node.removeprefix(SOURCE)))
    return node
