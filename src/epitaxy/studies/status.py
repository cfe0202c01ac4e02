"""`study_status`: how far a study is, from file names and the log alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from epitaxy.studies.expanding import Plan
from epitaxy.studies.folder import BEGAN, StudyFolder

State = Literal["done", "running", "failed", "not run", "waiting"]
STATES: tuple[State, ...] = get_args(State)
OF_EVENT: dict[str, State] = {
    "started": "running",
    "retried": "waiting",
    "failed": "failed",
    "not run": "not run",
}
"""Last event of a run -> its state, if there is no run folder."""


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is."""

    name: str
    is_running: bool
    """Whether some process works on it."""
    workers: int
    """Runs at the same time, of the last process that worked on it."""
    states: Mapping[str, State]
    """Run -> state, in the order of the plan."""
    labels: Mapping[str, str]
    """Run -> what it is: axis values, or the name of a source."""
    reasons: Mapping[str, str]
    """Run -> why it failed or was not run."""
    seconds_left: float | None
    """Estimate for all that is neither done nor failed; None before anything is done."""

    def count(self, state: State) -> int:
        """Return how many runs are in a state."""
        return list(self.states.values()).count(state)


def study_status(folder: str | Path) -> StudyStatus:
    """Return the state of every run of a study.

    Args:
        folder: what was ``out`` of `run_study`.

    Raises:
        InputError: it is not the folder of a study.
    """
    study = StudyFolder(folder)
    written, finished, alive = study.read(), study.finished(), study.is_running()
    events = study.events()
    workers = next((e["workers"] for e in reversed(events) if e["event"] == BEGAN), 1)
    last = _since_the_start(events)
    states: dict[str, State] = {}
    for i in written.plan.runs:
        state = OF_EVENT.get(last[i]["event"], "waiting") if i in last else "waiting"
        interrupted = state == "running" and not alive
        states[i] = "done" if i in finished else "waiting" if interrupted else state
    reasons = {
        i: str(last[i].get("reason", ""))
        for i, state in states.items()
        if state in {"failed", "not run"}
    }
    return StudyStatus(
        name=written.name,
        is_running=alive,
        workers=workers,
        states=states,
        labels=run_labels(written.plan),
        reasons=reasons,
        seconds_left=_seconds_left(written.plan, states, events, workers),
    )


def run_labels(plan: Plan) -> dict[str, str]:
    """Return what each run is in words: the values of its axes, or the name of a source."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for i, labels in plan.cells:
        cells.setdefault(i, []).append(labels)
    return {
        i: _words(cells[i]) if i in cells else f"source:{run.source}"
        for i, run in plan.runs.items()
    }


def _words(cells: Sequence[Mapping[str, Any]]) -> str:
    """Name the axes of which a run has one value; those of which it stands for all say nothing."""
    shared = {a: v for a, v in cells[0].items() if all(cell[a] == v for cell in cells)}
    return ", ".join(f"{axis}={value}" for axis, value in shared.items()) or "the only run"


def _since_the_start(events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the last event of each run since a process last began to work."""
    began = max((n for n, event in enumerate(events) if event["event"] == BEGAN), default=0)
    return {event["run"]: event for event in events[began:] if "run" in event}


def _seconds_left(
    plan: Plan, states: Mapping[str, State], events: Sequence[Mapping[str, Any]], workers: int
) -> float | None:
    """Suppose that a run takes as long as the finished ones of its verb, else as all of them."""
    times: dict[str, list[float]] = {}
    began: dict[str, float] = {}
    for event in events:
        if event["event"] == "finished" and event["run"] in plan.runs:
            times.setdefault(plan.runs[event["run"]].verb, []).append(event["seconds"])
        elif event["event"] == "started":
            began[event["run"]] = event["time"]
    everything = [seconds for group in times.values() for seconds in group]
    if not everything:
        return None
    left = 0.0
    for i, state in states.items():
        group = times.get(plan.runs[i].verb, everything)
        expected = sum(group) / len(group)
        if state == "running":
            left += max(0.0, expected - (time.time() - began[i]))
        elif state == "waiting":
            left += expected
    return left / workers
