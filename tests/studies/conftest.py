"""Small studies of the salts, a function that runs them here, and their data."""

import copy
import sys
import types
from pathlib import Path

import pytest
import yaml

from epitaxy.studies.tasks import Outcome
from epitaxy.studies.verbs import run_verb
from salts import in_memory

SMALL = {"width": 8, "layers": 2}
STUDY = {
    "name": "tiny",
    "base": {
        "verb": "finetune",
        "data": "salts.parquet",
        "target": "gap",
        "split": "random:0",
        "epochs": 2,
        "seed": "{trial}",
    },
    "sources": {
        "salts": {
            "verb": "train",
            "data": "salts.parquet",
            "target": "gap",
            "split": "random:0",
            "encoder": SMALL,
            "epochs": 2,
        }
    },
    "axes": {
        "source": {
            "scratch": {"verb": "train", "encoder": SMALL},
            "salts": {"from_model": "source:salts"},
        },
        "strategy": ["full", "head"],
        "trial": [1, 2],
    },
    "compare": {"over": "trial", "baseline": {"source": "scratch"}},
}
"""Two trials from scratch, and two of each strategy from a model that is trained once."""


class Here:
    """Executes tasks in this process, at once."""

    def __init__(self, folder, *, workers=None, **_place):
        self.workers, self.done = workers or 1, []

    def submit(self, task):
        self.done.append(task.id)
        run_verb(task.verb, task.arguments, Path(task.out))

    def wait(self):
        return Outcome(self.done.pop(0), 0.1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Return a function that writes `STUDY`, changed, into the current folder; with its data."""
    monkeypatch.chdir(tmp_path)
    in_memory().to_parquet("salts.parquet")

    def write(change=None, **parts):
        content = copy.deepcopy(STUDY) | parts
        if change:
            change(content)
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@pytest.fixture
def here(monkeypatch):
    """Let studies be executed in this process."""
    from epitaxy.studies.executors import EXECUTORS

    monkeypatch.setitem(EXECUTORS.table, "local", "studies_here:Here")
    module = types.ModuleType("studies_here")
    module.Here = Here
    monkeypatch.setitem(sys.modules, "studies_here", module)
