"""Runs that are killed, interrupted, doubled or out of disk; what the same command does then."""

import errno
import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.recipes import running
from epitaxy.recipes.running import read_run
from epitaxy.recipes.train import train
from epitaxy.reports.baseline import error_text
from options import replaced
from salts import FILES, content, program

EPOCHS = 40
TRAIN = ("--quiet", "train")
OPTIONS = ("--target", "gap", "--set", "checkpoint_seconds=0", "--set", f"epochs={EPOCHS}")
SAME = ("metrics.json", "model.safetensors", "model.json", "plan.csv", "config.yaml")
LONG = 60.0
"""Seconds after which a test stops waiting."""


def epochs_done(folder) -> int:
    path = folder / "history.csv"
    return path.read_text().count("\n") - 1 if path.is_file() else 0


def kill_when(process, ready) -> None:
    """Send SIGKILL at the first moment at which ``ready()``; the process must still run."""
    end = time.monotonic() + LONG
    while not ready():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def check_same(run, whole) -> None:
    assert {p.name for p in run.iterdir()} == {p.name for p in whole.iterdir()}
    for name in SAME:
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    frames = [pd.read_csv(f / "history.csv").drop(columns="seconds") for f in (run, whole)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert len(frames[0]) == EPOCHS


@pytest.fixture(scope="module")
def whole(salts, tmp_path_factory):
    """Return the run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitaxy.recipes.running.write_run_report", lambda folder: None)
        return train(salts, "gap", out, epochs=EPOCHS, checkpoint_seconds=0).folder


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["early", "middle", "late", "report"])
def test_killed_run_continues_and_ends_with_the_same_numbers(
    *, epitaxy, salts, whole, no_report, tmp_path, moment
):
    folder = tmp_path / ".run.unfinished"
    ready = {
        "early": lambda: epochs_done(folder) >= 2,
        "middle": lambda: epochs_done(folder) >= EPOCHS // 2,
        "late": lambda: epochs_done(folder) >= EPOCHS - 3,
        "report": lambda: (folder / "figures").is_dir() and any((folder / "figures").iterdir()),
    }
    kill_when(program(*TRAIN, salts, *OPTIONS, "--out", tmp_path / "run"), ready[moment])
    assert not (tmp_path / "run").exists()
    done = epochs_done(folder)
    # What a kill may leave in the middle of writing.
    (folder / ".model.safetensors.1.tmp").write_text("half")
    (folder / "figures").mkdir(exist_ok=True)
    trained = []
    with pytest.MonkeyPatch.context() as patch:
        whole_epoch = running.fit.__globals__["_epoch"]
        patch.setitem(
            running.fit.__globals__, "_epoch", lambda *a: trained.append(a) or whole_epoch(*a)
        )
        found = epitaxy("train", salts, *OPTIONS, "--out", "run")
    assert found.code == 0, found.err
    assert "Continuing the interrupted run" in found.err
    assert EPOCHS - done <= len(trained) <= EPOCHS - done + 1
    check_same(tmp_path / "run", whole)
    assert not folder.exists()


def test_interrupted_run_says_so_and_continues(
    *, epitaxy, salts, whole, no_report, tmp_path, monkeypatch
):
    validate = running.fit.__globals__["validate"]
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return validate(*arguments)

    monkeypatch.setitem(running.fit.__globals__, "validate", interrupted)
    found = epitaxy("train", salts, *OPTIONS, "--out", "run")
    assert found.code == 130
    assert found.err.splitlines()[-1] == (
        "epitaxy: stopped; the same command continues where it was."
    )
    assert "Traceback" not in found.err
    found = epitaxy("train", salts, *OPTIONS, "--out", "run")
    assert found.code == 0, found.err
    assert len(calls) == EPOCHS + 1
    check_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_real_interrupt(salts, tmp_path):
    folder = tmp_path / ".run.unfinished"
    process = program(*TRAIN, salts, *OPTIONS, "--epochs", "100000", "--out", tmp_path / "run")
    end = time.monotonic() + LONG
    while epochs_done(folder) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 130
    assert err == "epitaxy: stopped; the same command continues where it was.\n"


def test_a_run_left_by_other_settings_is_not_continued(
    *, epitaxy, salts, whole, no_report, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("epitaxy.recipes.running._score", stop)
        assert epitaxy("train", salts, *OPTIONS, "--out", "run", "--epochs", "3").code == 130
    assert epochs_done(tmp_path / ".run.unfinished") == 3
    found = epitaxy("train", salts, *OPTIONS, "--out", "run")
    assert "Continuing" not in found.err
    check_same(tmp_path / "run", whole)


def test_the_same_command_twice_trains_once(epitaxy, salts, trained, monkeypatch):
    monkeypatch.setattr("epitaxy.recipes.running._train", lambda *a, **k: pytest.fail("trains"))
    before = content(trained)
    command = ("train", salts, "--target", "gap", "--unit", "eV", "--epochs", "3", "--seed", "1")
    found = epitaxy(*command, "--out", trained)
    assert found.code == 0, found.err
    assert "already finished with these settings" in found.err
    assert error_text(read_run(trained).metrics["test"]["gap"]) in found.out
    assert content(trained) == before


@pytest.mark.parametrize(
    "other",
    [
        ["--seed", "2"],
        ["--epochs", "4"],
        ["--split", "random:9"],
        ["--unit", "meV"],
        ["--transform", "log1p"],
        ["--set", "loss=mse"],
    ],
    ids=lambda other: other[0],
)
def test_other_settings_into_the_same_folder_are_refused(epitaxy, salts, trained, other):
    before = content(trained)
    command = ("train", salts, "--target", "gap", "--unit", "eV", "--epochs", "3", "--seed", "1")
    found = epitaxy(*replaced([*command, "--out", trained], *other))
    assert "holds a run with other settings or data" in found.sentence
    assert content(trained) == before


def test_overwrite_replaces_the_run(epitaxy, salts, tmp_path, no_report):
    command = ("train", salts, "--target", "gap", "--epochs", "1", "--out", "run")
    assert epitaxy(*command).code == 0
    before = content(tmp_path / "run")
    assert epitaxy(*command, "--seed", "4", "--overwrite").code == 0
    after = content(tmp_path / "run")
    assert after.keys() == before.keys() == FILES - {"figures", "report.html"}
    assert after["model.safetensors"] != before["model.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_changed_labels_are_other_data(epitaxy, salts, trained, tmp_path):
    changed = shutil.copytree(salts, tmp_path / "changed")
    path = changed / "id_prop.csv"
    path.write_text(path.read_text().replace("salt-00,5.4", "salt-00,5.5"))
    assert path.read_text() != (salts / "id_prop.csv").read_text()
    command = ("train", changed, "--target", "gap", "--unit", "eV", "--epochs", "3", "--seed", "1")
    assert "other settings or data" in epitaxy(*command, "--out", trained).sentence


def test_two_processes_do_not_write_one_run(epitaxy, salts, tmp_path):
    with (tmp_path / ".run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = epitaxy("train", salts, *OPTIONS, "--out", "run")
    assert "Another process is writing 'run'" in found.sentence
    assert sorted(p.name for p in tmp_path.iterdir()) == [".run.lock"]


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raise_full(*_, **__):
    raise FULL


@pytest.mark.parametrize(
    "writer",
    [
        "epitaxy.training.loop.save_state",
        "epitaxy.recipes.running.write_predictions",
        "epitaxy.recipes.running.save_model",
        "epitaxy.recipes.running.write_run_report",
    ],
)
def test_full_disk_leaves_the_old_run_and_can_be_continued(
    *, epitaxy, salts, trained, no_report, tmp_path, monkeypatch, writer
):
    run = shutil.copytree(trained, tmp_path / "run")
    before = content(run)
    command = ("train", salts, "--target", "gap", "--epochs", "2", "--out", "run", "--overwrite")
    with monkeypatch.context() as patch:
        patch.setattr(writer, raise_full)
        found = epitaxy(*command)
    assert "the disk is full; free some space and run again" in found.sentence
    assert content(run) == before
    again = epitaxy(*command)
    assert "Continuing the interrupted run" in again.err
    assert json.loads((run / "metrics.json").read_text()).keys() == {"train", "val", "test"}
    assert content(run)["model.safetensors"] != before["model.safetensors"]


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_full_disk_leaves_the_old_predictions(
    *, epitaxy, salts, trained, tmp_path, monkeypatch, verb
):
    out = tmp_path / "out.parquet"
    out.write_text("what was there")
    monkeypatch.setattr(pd.DataFrame, "to_csv", raise_full)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", raise_full)
    target = ["--target", "gap"] if verb == "evaluate" else []
    command = (verb, trained, salts, *target, "--out", out, "--overwrite")
    assert "disk is full" in epitaxy(*command).sentence
    assert out.read_text() == "what was there"
    assert [p.name for p in tmp_path.iterdir()] == ["out.parquet"]


def test_weights_go_through_python_so_that_a_full_disk_is_recognised(trained, tmp_path):
    """The writer of safetensors has its own errors, and makes files that nobody else can read."""
    model = load_model(trained)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", raise_full)
        with pytest.raises(ValueError, match="disk is full"):
            save_model(model, tmp_path)
    assert not list(tmp_path.iterdir())
    save_model(model, tmp_path)
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask
    old, new = model.state_dict(), load_model(tmp_path).state_dict()
    assert all(np.array_equal(old[k], new[k]) for k in old)
