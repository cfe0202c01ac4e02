"""The program in this process, data for it, and one trained model."""

import logging
import sys

import pytest

from epitaxy.cli.main import main
from salts import Result, write_folder


@pytest.fixture
def epitaxy(capsys, monkeypatch, tmp_path):
    """Return a function that runs a command line in an empty folder."""
    log = logging.getLogger("epitaxy")
    before = log.handlers, log.propagate, log.level
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        return Result(end.value.code, *capsys.readouterr())

    yield run
    log.handlers, log.propagate, log.level = before


@pytest.fixture(scope="session")
def salts(tmp_path_factory):
    """Folder of CIF files with id_prop.csv."""
    return write_folder(tmp_path_factory.mktemp("data") / "salts")


@pytest.fixture
def no_report(monkeypatch):
    """Leave out the report, which takes most of the time of a small run."""
    monkeypatch.setattr("epitaxy.recipes.running.write_run_report", lambda folder: None)


@pytest.fixture(scope="session")
def trained(salts, tmp_path_factory):
    """Return the folder of a run."""
    from epitaxy.recipes.train import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitaxy.recipes.running.write_run_report", lambda folder: None)
        out = tmp_path_factory.mktemp("model") / "run"
        return train(salts, "gap", out, unit="eV", epochs=3, seed=1).folder
