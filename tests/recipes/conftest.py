"""A quick model, data for it in memory, and its finished run."""

import pytest

from salts import in_memory

SMALL = {"width": 8, "layers": 2}


@pytest.fixture(scope="session")
def table():
    """Return the crystals of `salts` in memory."""
    return in_memory()


@pytest.fixture
def no_report(monkeypatch):
    """Leave out the report, which takes most of the time of a small run."""
    monkeypatch.setattr("epitaxy.recipes.running.write_run_report", lambda folder: None)


@pytest.fixture
def quick(table, no_report, tmp_path):
    """Return a function that trains a small model into a new folder."""
    from epitaxy.recipes.train import train

    made = []

    def run(data=table, target="gap", **options):
        made.append(run)
        out = tmp_path / f"run-{len(made)}"
        return train(data, target, out, encoder=SMALL, **{"epochs": 3, **options})

    return run


@pytest.fixture(scope="session")
def finished(table, tmp_path_factory):
    """Return a run with its report; nobody may change it."""
    from epitaxy.recipes.train import train

    out = tmp_path_factory.mktemp("finished") / "run"
    return train(table, "gap", out, encoder=SMALL, epochs=12, unit="eV", batch_size=8)
