"""Real processes: workers that die, a study that is killed, and what comes out in the end."""

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from epitaxy.recipes.running import read_run
from epitaxy.studies.executors import local
from epitaxy.studies.executors.local import LocalExecutor
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.run import run_study
from epitaxy.studies.status import study_status
from epitaxy.studies.tasks import Task
from epitaxy.studies.verbs import run_verb
from salts import program

EPOCHS = 60
LONG = 120.0
"""Seconds after which a test stops waiting."""
WAYS = {"data": "salts.parquet", "target": "gap", "split": "random:0", "encoder": {"width": 8}}


def settings(content):
    content["base"] |= {"epochs": EPOCHS, "checkpoint_seconds": 0}
    content["sources"]["salts"] |= {"epochs": EPOCHS, "checkpoint_seconds": 0}
    content["axes"] |= {"strategy": ["full"], "trial": [1]}


def numbers(folder) -> dict[str, dict]:
    return {p.name: read_run(p).metrics for p in sorted((Path(folder) / "runs").iterdir())}


def wait_for(ready):
    end = time.monotonic() + LONG
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def epochs_done(folder) -> int:
    return sum(p.read_text().count("\n") - 1 for p in folder.glob("runs/.*.unfinished/history.csv"))


def children(process) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(n) for n in (task / "children").read_text().split()]
    return found


@pytest.fixture
def undisturbed(study, here):
    """Return the metrics of the study that nobody disturbed."""
    run_study(study(settings), "undisturbed")
    return numbers("undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["study", "worker"])
def test_killed_studies_end_with_the_same_numbers(study, undisturbed, tmp_path, victim):
    out = tmp_path / "out"
    command = ("--quiet", "study", "run", study(settings), "--out", out, "--workers", "1")
    for moment in (10, 40):
        process = program(*command)
        workers: list[int] = []
        wait_for(lambda moment=moment: epochs_done(out) >= moment)
        workers = children(process.pid)
        assert len(workers) == 1
        os.kill(workers[0] if victim == "worker" else process.pid, signal.SIGKILL)
        if victim == "study":
            process.communicate()
            # Nobody goes on without the study.
            wait_for(lambda workers=workers: not Path(f"/proc/{workers[0]}").exists())
            assert not study_status(out).is_running
        else:
            process.communicate(timeout=LONG)
            assert process.returncode == 0
            break
    if victim == "study":
        assert study_status(out).count("running") == 0
        before = epochs_done(out)
        process = program(*command)
        process.communicate(timeout=LONG)
        assert process.returncode == 0
        assert before
    assert "Continuing the interrupted run" in (out / "messages" / "worker-1.txt").read_text()
    assert numbers(out) == undisturbed
    events = [e["event"] for e in StudyFolder(out).events()]
    assert events.count("retried") == (victim == "worker")
    for run in (out / "runs").iterdir():
        assert len(pd.read_csv(run / "history.csv")) == EPOCHS


@pytest.mark.slow
def test_what_a_worker_did_before_changes_nothing(study, tmp_path):
    study()
    tasks = [
        Task(
            str(n), "train", {**WAYS, "training": {"epochs": 3, "seed": n}}, str(tmp_path / f"r{n}")
        )
        for n in (1, 2, 3)
    ]
    with LocalExecutor(tmp_path / "messages", workers=1) as executor:
        for task in tasks:
            executor.submit(task)
            assert executor.wait().reason == ""
    alone = run_verb("train", tasks[2].arguments, tmp_path / "alone")
    pd.testing.assert_frame_equal(alone.predictions, read_run(tmp_path / "r3").predictions)
    assert (tmp_path / "messages" / "worker-1.txt").read_text().count("Run ") == 3


@pytest.mark.slow
def test_faults_are_told_and_the_worker_goes_on(study, tmp_path):
    study()
    before = set(children(os.getpid()))
    wrong = Task("a", "train", {**WAYS, "target": "gpa"}, str(tmp_path / "a"))
    ours = Task("b", "train", {**WAYS, "nonsense": {}}, str(tmp_path / "b"))
    with LocalExecutor(tmp_path / "messages", workers=1) as executor:
        executor.submit(wrong)
        assert "Did you mean 'gap'?" in executor.wait().reason
        executor.submit(ours)
        assert "nonsense" in executor.wait().reason
        assert len(set(children(os.getpid())) - before) == 1
    assert not set(children(os.getpid())) - before


DIES = """
import os, signal, sys
for line in sys.stdin:
    os.kill(os.getpid(), signal.SIGKILL) if '"die"' in line else None
    if '"exit"' in line:
        sys.exit(3)
    print('{"reason": ""}', flush=True)
"""


def test_a_worker_that_dies_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "COMMAND", (local.COMMAND[0], "-c", DIES))
    with LocalExecutor(tmp_path, workers=2) as executor:
        for name in ("die", "a"):
            executor.submit(Task(name, "train", {}, ""))
        found = {o.id: o.reason for o in (executor.wait(), executor.wait())}
        assert found["a"] == ""
        assert "its process ended with SIGKILL" in found["die"]
        assert "fewer workers help" in found["die"]
        executor.submit(Task("exit", "train", {}, ""))
        executor.submit(Task("b", "train", {}, ""))
        found = {o.id: o.reason for o in (executor.wait(), executor.wait())}
        assert found["b"] == ""
        assert "exit code 3" in found["exit"]


def test_one_that_died_while_it_had_nothing_to_do(tmp_path, monkeypatch):
    before = set(children(os.getpid()))  # those that track resources of other tests
    monkeypatch.setattr(local, "COMMAND", (local.COMMAND[0], "-c", DIES))
    with LocalExecutor(tmp_path, workers=1) as executor:
        executor.submit(Task("a", "train", {}, ""))
        assert executor.wait().reason == ""
        (worker,) = set(children(os.getpid())) - before
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.1)
        executor.submit(Task("b", "train", {}, ""))
        assert "SIGKILL" in executor.wait().reason
        executor.submit(Task("b", "train", {}, ""))
        assert executor.wait().reason == ""


def test_workers_share_cores_and_memory(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.setattr(local, "available_memory", lambda: 5 * local.MEMORY)
    executor = LocalExecutor(tmp_path)
    assert executor.workers == 5
    threads = [
        LocalExecutor(tmp_path, workers=n)._environment["OMP_NUM_THREADS"] for n in (1, 4, 16)
    ]
    assert threads == ["8", "2", "1"]
    monkeypatch.setattr(local, "available_memory", lambda: 0)
    assert LocalExecutor(tmp_path).workers == 1
    with pytest.raises(ValueError, match="at least one worker"):
        LocalExecutor(tmp_path, workers=0)
    for wrong in ({"gpus": 1.0}, {"address": "auto"}):
        with pytest.raises(ValueError, match="use the executor 'ray'"):
            LocalExecutor(tmp_path, **wrong)


def test_cores_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.setattr(local, "available_memory", lambda: 100 * local.MEMORY)
    executor = LocalExecutor(tmp_path, cpus=3)
    assert executor.workers == 2
    assert executor._environment["OMP_NUM_THREADS"] == "3"
    with pytest.raises(ValueError, match="at least one cpu, but cpus = 0 came"):
        LocalExecutor(tmp_path, cpus=0)


def test_available_memory():
    assert local.available_memory() > 1024**2


def test_answers_are_lines_of_json(tmp_path):
    import io
    import queue

    from epitaxy.core import processes

    tasks: queue.SimpleQueue = queue.SimpleQueue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes.sys, "stdin", io.StringIO(json.dumps({"id": "a"}) + "\n"))
        patch.setattr(processes.os, "_exit", tasks.put)
        processes._receive(tasks)
    assert [tasks.get(), tasks.get()] == [{"id": "a"}, 0]
