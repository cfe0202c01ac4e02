"""Studies on a Ray cluster of this machine: the same numbers as anywhere, whatever is killed."""

import builtins
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import yaml

from epitaxy.core.errors import InputError
from epitaxy.recipes.running import read_run
from epitaxy.studies.executors import ray as executor
from epitaxy.studies.executors.ray import RayExecutor, fitting
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.results import study_results
from epitaxy.studies.run import run_study
from ray_cluster import Cluster

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
EPOCHS = 150
LONG = 300.0
SMALL = {"width": 16, "layers": 2}


@pytest.fixture
def cluster():
    with Cluster() as made:
        made.start_head()
        for name in ("one", "two"):
            made.start_worker(name)
        yield made


def start(cluster, study, out, *more) -> subprocess.Popen:
    command = ("--quiet", "study", "run", study, "--out", out, *more)
    return subprocess.Popen(
        [sys.executable, "-m", "epitaxy", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**cluster.environment, "RAY_ADDRESS": cluster.address},
    )


def finish(process, *, succeeds=True) -> str:
    said, _ = process.communicate(timeout=LONG)
    assert (process.returncode == 0) == succeeds, said
    return said


def wait_for(ready):
    end = time.monotonic() + LONG
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


def epochs_done(out) -> int:
    histories = Path(out).glob("runs/.*.unfinished/history.csv")
    return sum(max(0, path.read_text().count("\n") - 1) for path in histories)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Return a function that writes a study of the shipped crystals."""
    monkeypatch.chdir(tmp_path)

    def write(**content):
        base = {"data": "demo:semiconductors", "target": "gap", "split": "random:0"}
        base |= {"seed": "{trial}", "subset": {"size": 40}, "training": {"epochs": 3}}
        base |= content.pop("base", {})
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({"name": "demo", "base": base, **content}))
        return path

    return write


def pair_wise(demo):
    """Write a study of three sources, two targets and two trials."""
    source = {"verb": "train", "data": "demo:semiconductors", "target": "gap", "encoder": SMALL}
    source |= {"split": {"test": 0, "seed": 7}, "training": {"epochs": 3}}
    return demo(
        sources={"pre-trained": source},
        axes={
            "source": {
                "scratch": {"verb": "train", "encoder": SMALL},
                "same": {"verb": "finetune", "from_model": "source:pre-trained"},
                "zoo": {"verb": "finetune", "from_model": "zoo:cgcnn-formation-energy"},
            },
            "target": {"gap": {"transform": "identity"}, "log1p of gap": {"transform": "log1p"}},
            "trial": [1, 2],
        },
        compare={"over": "trial", "baseline": {"source": "scratch"}},
    )


def tables(out) -> pd.DataFrame:
    return study_results(out).drop(columns="seconds")


@needs_ray
@pytest.mark.slow
def test_tables_are_those_of_local_processes(cluster, demo, tmp_path):
    study = pair_wise(demo)
    finish(start(cluster, study, "by-ray", "--executor", "ray"))
    run_study(study, "locally", workers=1)
    assert len(tables("locally")) == 12
    pd.testing.assert_frame_equal(tables("by-ray"), tables("locally"))
    for run in Path("locally/runs").iterdir():
        ours, theirs = (read_run(Path(o, "runs", run.name)) for o in ("locally", "by-ray"))
        pd.testing.assert_frame_equal(ours.predictions, theirs.predictions)
    machines = {path.name for path in Path("by-ray/messages").iterdir()}
    assert len(machines) == 2
    assert all(name.startswith("ray-") for name in machines)
    began = next(e for e in StudyFolder("by-ray").events() if e["event"] == "began")
    assert began["workers"] == 2


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["process", "machine", "head"])
def test_what_is_killed_goes_on(cluster, demo, tmp_path, victim):
    training = {"epochs": EPOCHS, "checkpoint_seconds": 0}
    base = {"verb": "train", "encoder": SMALL, "training": training}
    study = demo(base=base, axes={"trial": [1, 2]})
    run_study(study, "undisturbed", workers=1)
    process = start(cluster, study, "out", "--executor", "ray")
    wait_for(lambda: len(cluster.runs()) == 2 and epochs_done("out") >= 10)
    if victim == "process":
        os.kill(cluster.runs()[0], signal.SIGKILL)
    else:
        cluster.kill_part({"machine": "one", "head": "head"}[victim])
    if victim == "head":
        # Else their runs might be finished before anybody notices.
        for name in ("one", "two"):
            cluster.kill_part(name)
        # Ray itself ends a process that has no head any more, so that the code may be its own.
        said = finish(process, succeeds=False)
        assert "does not answer any more" in " ".join(said.split())
        assert epochs_done("out") >= 10
        cluster.start_head(cores=2)
        process = start(cluster, study, "out", "--executor", "ray")
    finish(process)
    pd.testing.assert_frame_equal(tables("out"), tables("undisturbed"))
    events = [e["event"] for e in StudyFolder("out").events()]
    assert events.count("finished") == 2
    if victim != "head":
        assert events.count("retried") == 1
    said = "".join(p.read_text() for p in Path("out/messages").iterdir())
    assert "Continuing the interrupted run" in said
    for run in Path("out/runs").iterdir():
        assert len(pd.read_csv(run / "history.csv")) == EPOCHS


@needs_ray
@pytest.mark.slow
def test_a_cluster_of_its_own_and_what_it_lacks(demo, tmp_path, monkeypatch):
    for name, value in {"RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    study = demo(base={"verb": "train", "encoder": SMALL}, axes={"trial": [1]})
    code = (
        "import logging, sys; from epitaxy.studies.run import run_study\n"
        "try: run_study(sys.argv[1], 'gpus', executor='ray', gpus=64)\n"
        "except ValueError as error: print(error)\n"
        "print(run_study(sys.argv[1], 'out', executor='ray', workers=1, cpus=1).finished)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, study], capture_output=True, text=True, check=True
    )
    assert "No machine of the Ray cluster has the 1 CPU and 64 GPU of a run" in found.stdout
    assert found.stdout.splitlines()[-1] == "1"


def test_whole_runs_on_each_machine():
    assert fitting({"CPU": 7.0}, {"CPU": 2.0, "GPU": 0.0}) == 3
    assert fitting({"CPU": 7.0}, {"CPU": 2.0, "GPU": 1.0}) == 0
    assert fitting({"CPU": 16.0, "GPU": 2.0}, {"CPU": 4.0, "GPU": 0.25}) == 4


def test_wrong_numbers(tmp_path):
    with pytest.raises(InputError, match="at least one worker"):
        RayExecutor(tmp_path, workers=0)
    with pytest.raises(InputError, match="-1 gpus"):
        RayExecutor(tmp_path, gpus=-1)


def test_without_the_package(tmp_path, monkeypatch):
    real = builtins.__import__

    def importing(name, *more, **how):
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return real(name, *more, **how)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(InputError, match=r"pip install 'epitaxy\[ray\]'"):
        RayExecutor(tmp_path)


def test_the_head_is_watched(caplog, monkeypatch):
    monkeypatch.setattr(executor, "GLANCE", 0.01)
    monkeypatch.setattr(executor.time, "sleep", lambda seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = executor.Watch("127.0.0.1:" + str(server.getsockname()[1]))
        watch.start()
        server.accept()[0].close()
        assert not watch.is_lost
    watch.join(timeout=LONG)
    assert watch.is_lost
    assert "does not answer any more; start it again" in caplog.text
    ended = executor.Watch("127.0.0.1:1")
    ended.over.set()
    ended.start()
    ended.join(timeout=LONG)
    assert not ended.is_lost


def test_a_run_that_another_process_still_has(tmp_path, monkeypatch):
    import fcntl

    lock = tmp_path / ".a.lock"
    asked = []

    def sleep(seconds):
        asked.append(seconds)
        fcntl.flock(file, fcntl.LOCK_UN)

    monkeypatch.setattr(executor.time, "sleep", sleep)
    executor._wait_for_others(tmp_path / "a")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        executor._wait_for_others(tmp_path / "a")
    assert asked == [1.0]


def test_what_a_process_of_ray_does(demo, tmp_path):
    demo()
    task = {"id": "a", "verb": "train", "out": str(tmp_path / "a")}
    given = {"data": "demo:semiconductors", "target": "gpa"}
    place = executor.Place(str(tmp_path), str(tmp_path / "messages"), None)
    found = executor.execute_here({**task, "arguments": given}, place)
    assert "Did you mean 'gap'?" in found["reason"]
    assert found["seconds"] > 0
    (messages,) = (tmp_path / "messages").iterdir()
    assert "Run a." in messages.read_text()
    elsewhere = executor.Place(str(tmp_path / "nosuch"), str(tmp_path / "messages"), None)
    found = executor.execute_here({**task, "arguments": given}, elsewhere)
    assert "cannot read or write what the study needs" in found["reason"]
