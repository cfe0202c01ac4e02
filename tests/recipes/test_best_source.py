"""The best of several sources, by validation."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from epitaxy.checkpoints.model_files import zoo_names
from epitaxy.cli.main import app
from epitaxy.core.errors import InputError
from epitaxy.recipes.best_source import finetune_best

DATA = "demo:semiconductors"
QUICK = {"epochs": 2, "split": "random:0", "strategy": "head"}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return finetune_best(DATA, "gap", "zoo:*", tmp_path_factory.mktemp("best") / "out", **QUICK)


def test_validation_decides(outcome):
    table = outcome.table
    assert set(table["source"]) == {f"zoo:{name}" for name in zoo_names()}
    assert len(table) > 2
    assert table["val_mae"].is_monotonic_increasing
    assert outcome.source == table["source"][0]
    assert outcome.run.mae("val") == table["val_mae"].min()
    folder = outcome.run.folder.parent
    pd.testing.assert_frame_equal(pd.read_csv(folder / "sources.csv"), table)


def test_finished_runs_are_not_repeated(outcome):
    folder = outcome.run.folder.parent
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*/model.safetensors")}
    again = finetune_best(DATA, "gap", "zoo:*", folder, **QUICK)
    assert {p: p.stat().st_mtime_ns for p in folder.glob("*/model.safetensors")} == before
    pd.testing.assert_frame_equal(again.table, outcome.table)


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ("", "No source was named"),
        ("zoo:*,zoo:nosuch", "Unknown zoo model 'nosuch'"),
        ("a/run,b/run", "Two models are called 'run'"),
    ],
)
def test_bad_sources(tmp_path, sources, says):
    with pytest.raises(InputError, match=says):
        finetune_best(DATA, "gap", sources, tmp_path / "out", **QUICK)
    assert not list(tmp_path.iterdir())


def test_from_the_command_line(tmp_path):
    arguments = ["finetune", DATA, "--target", "gap", "--from", "zoo:*", "--epochs", "1"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Best by validation: zoo:cgcnn-" in done.output
    assert "MAE" in done.output
