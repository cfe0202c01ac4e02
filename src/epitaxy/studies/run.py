"""`run_study`: from a study file to run folders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from epitaxy.core.files import readable_disk_errors
from epitaxy.core.progress import Progress
from epitaxy.studies.checking import mistakes
from epitaxy.studies.config import SOURCE, Study, complaint
from epitaxy.studies.executors import EXECUTORS
from epitaxy.studies.expanding import TABLE, TABLE_VERBS, Plan, PlannedRun, plan
from epitaxy.studies.folder import BEGAN, StudyFolder
from epitaxy.studies.parameters import without_consequences
from epitaxy.studies.scheduling import Event, schedule
from epitaxy.studies.study_file import read_study
from epitaxy.studies.tasks import Executor, Task
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


def plan_study(
    study: str | Path, given: Mapping[str, Any] | None = None, *, quick: bool = False
) -> tuple[Study, Plan, str]:
    """Read a study; return what it says, what it asks for, and the text of a file that says so.

    Raises:
        InputError: all that is wrong with it.
    """
    file = read_study(study, given, quick=quick)
    found = list(file.mistakes)
    if file.study is not None:
        found += without_consequences(mistakes(file.study), file.missing)
    if found:
        raise complaint(study, found)
    assert file.study is not None
    return file.study, plan(file.study, arguments_of()), file.text


def run_study(
    study: str | Path,
    out: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    quick: bool = False,
    workers: int | None = None,
    dry_run: bool = False,
    executor: str = "local",
    cpus: int | None = None,
    gpus: float = 0.0,
    address: str | None = None,
) -> StudyRun:
    """Execute all runs of a study that are not finished, and go on with those that were stopped.

    Args:
        study: YAML file, see `Study`; or the name of a study that is shipped (`ready_studies`).
        out: folder to write: one folder per run below ``runs``, ``study.yaml``, ``plan.json`` and
            ``log.jsonl``. The folder of an earlier call is continued.
        parameters: name -> value, of the parameters of the study.
        quick: take the small size that the study describes.
        workers: runs at the same time; by default as many as the machine, or the cluster, can take.
        dry_run: say what would be done and write nothing.
        executor: where runs are executed: ``local`` or ``ray``, see `EXECUTORS`.
        cpus: cores of each run.
        gpus: graphics cards of each run, with ``ray``; a fraction lets runs share one.
        address: of a Ray cluster, ``auto`` for the one that this machine belongs to; None starts
            one here.

    Returns:
        What happened; runs that failed are in it and raise nothing.

    Raises:
        InputError: the file has mistakes (all are listed), another process is running the study,
            ``out`` holds something else, or the executor cannot do what is asked for.
    """
    read, planned, text = plan_study(study, parameters, quick=quick)
    folder = StudyFolder(out)
    folder.check(read)
    machine = partial(EXECUTORS[executor], workers=workers, cpus=cpus, gpus=gpus, address=address)
    if dry_run:
        done = len(folder.finished() & planned.runs.keys())
        return StudyRun(folder.root, planned, done, 0, {})
    with folder.locked():
        folder.write(read, planned, text)
        done = len(folder.finished() & planned.runs.keys())
        with readable_disk_errors(folder.root):
            failed = _execute(folder, planned, machine)
    finished = len(planned.runs) - done - len(failed)
    return StudyRun(folder.root, planned, done, finished, failed)


def _execute(
    folder: StudyFolder, planned: Plan, executor: Callable[[Path], Executor]
) -> dict[str, str]:
    """Execute what is not finished; return why some runs failed."""
    finished = folder.finished()
    left = {i: run for i, run in planned.runs.items() if i not in finished}
    if not left:
        return {}
    tasks = {i: _task(folder, planned, run) for i, run in left.items()}
    needs = {i: run.needs for i, run in left.items()}
    failed: dict[str, str] = {}
    with (
        executor(folder.messages) as machine,
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


def _task(folder: StudyFolder, planned: Plan, run: PlannedRun) -> Task:
    arguments = _with_paths(run.arguments, folder, planned)
    return Task(run.id, run.verb, arguments, str(folder.run(run.id)))


def _with_paths(node: Any, folder: StudyFolder, planned: Plan) -> Any:
    """Put the folders of models, and the files of tables, in the place of names of runs."""
    if isinstance(node, Mapping):
        return {key: _with_paths(part, folder, planned) for key, part in node.items()}
    if isinstance(node, list):
        return [_with_paths(part, folder, planned) for part in node]
    if not isinstance(node, str) or not node.startswith(SOURCE):
        return node
    identity = node.removeprefix(SOURCE)
    path = folder.run(identity)
    return str(path / TABLE if planned.runs[identity].verb in TABLE_VERBS else path)
