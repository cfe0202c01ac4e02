"""kill -9 at random moments, of the study and of its workers: nothing lost, nothing done twice."""

import os
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from epitaxy.recipes.running import read_run
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.run import run_study
from salts import program

LONG = 300.0
"""Seconds after which a test stops waiting."""
PAUSE = 0.4
"""Longest wait in seconds between the epoch that was chosen and the signal."""


class Disturbed:
    """A study in a process of its own that is killed and started again until it is finished."""

    def __init__(self, study, out: Path, epochs: int, seed: int, workers: int) -> None:
        self.command = ("--quiet", "study", "run", study, "--out", out, "--workers", workers)
        self.out, self.epochs, self.random = out, epochs, random.Random(seed)
        self.process = program(*self.command)
        self.killed = []

    def done(self) -> int:
        """Return how many epochs are done, of all runs together."""
        total = 0
        for run in (self.out / "runs").glob("*"):
            try:
                total += max(0, (run / "history.csv").read_text().count("\n") - 1)
            except OSError:
                continue
        return total

    def reach(self, epochs: int) -> None:
        """Wait until so much is done, starting the study again where it was killed."""
        end = time.monotonic() + LONG
        while self.done() < epochs:
            assert time.monotonic() < end
            if self.process.poll() is not None:
                assert self.process.returncode == -signal.SIGKILL, self.process.communicate()
                self.process.communicate()
                self.process = program(*self.command)
            time.sleep(0.01)

    def kill(self, victim: str) -> None:
        time.sleep(self.random.uniform(0, PAUSE))
        targets = [self.process.pid] if victim == "study" else self.workers()
        if self.process.poll() is None and targets:
            os.kill(self.random.choice(targets), signal.SIGKILL)
            self.killed.append(victim)

    def workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(n) for t in tasks.glob("*/children") for n in t.read_text().split()]

    def finish(self) -> None:
        """Start it once more if it was killed, and let it end."""
        for _ in range(2):
            self.process.communicate(timeout=LONG)
            if self.process.returncode == 0:
                return
            self.process = program(*self.command)
        self.process.communicate(timeout=LONG)
        assert self.process.returncode == 0


def check(study, tmp_path, *, epochs: int, victims: list[str], seed: int, trials: int) -> None:
    """Disturb a study, and compare it with one that nobody disturbed."""

    def settings(content):
        for part in (content["base"], content["sources"]["salts"]):
            part.update(epochs=epochs, checkpoint_seconds=0)
        content["axes"] |= {"strategy": ["full"], "trial": list(range(trials))}

    path, out = study(settings), tmp_path / "disturbed"
    plan = run_study(path, "undisturbed").plan
    disturbed = Disturbed(path, out, epochs, seed, workers=trials)
    draw = random.Random(seed)
    last = epochs * (len(plan.runs) - 1)
    for moment, victim in zip(sorted(draw.sample(range(last), len(victims))), victims, strict=True):
        disturbed.reach(moment)
        disturbed.kill(victim)
    disturbed.finish()
    assert disturbed.killed == victims
    runs = [p for p in (out / "runs").iterdir() if not p.name.startswith(".")]
    assert sorted(p.name for p in runs) == sorted(plan.runs)
    assert not list((out / "runs").glob(".*.unfinished"))
    ended = [e["run"] for e in StudyFolder(out).events() if e["event"] == "finished"]
    assert len(ended) == len(set(ended))
    for run in runs:
        same = Path("undisturbed", "runs", run.name)
        assert read_run(run).metrics == read_run(same).metrics
        pd.testing.assert_frame_equal(read_run(run).predictions, read_run(same).predictions)
        assert pd.read_csv(run / "history.csv")["epoch"].tolist() == list(range(1, epochs + 1))


def test_one_kill_of_each(study, here, tmp_path):
    check(study, tmp_path, epochs=100, victims=["worker", "study"], seed=1, trials=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_ten_kills(study, here, tmp_path, seed):
    victims = [random.Random(seed).choice(["study", "worker"]) for _ in range(10)]
    check(study, tmp_path, epochs=500, victims=victims, seed=seed, trials=2)
