"""Help of every command, the version, the shipped models, and imported checkpoints."""

import re
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import typer.main

from epitaxy.checkpoints.learned import read_learned
from epitaxy.checkpoints.model_files import load_model, zoo_folder, zoo_names
from epitaxy.cli.main import app
from salts import IDS, content, environment

LARGEST = 4_000_000
"""Bytes of a shipped model."""
CARD = ("Data", "Test error", "Graphs", "Made by", "Licence")
CHECKPOINT = "checkpoints/cgcnn/band-gap.pth.tar"


def commands(command, path=()):
    """Yield the names of all commands and groups."""
    yield path
    for name, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, (*path, name))


COMMANDS = list(commands(typer.main.get_command(app)))


def test_there_are_commands():
    documented = {
        "analyse",
        "budget",
        "data",
        "train",
        "finetune",
        "fit",
        "mixture",
        "predict",
        "evaluate",
        "matbench",
        "import",
        "export",
        "scaling",
        "study",
        "zoo",
        "demo",
    }
    assert {path[0] for path in COMMANDS if path} == documented
    assert {path for path in COMMANDS if len(path) == 2} == {
        *(("data", name) for name in ("info", "convert", "merge", "select", "split")),
        *(("zoo", name) for name in ("list", "show", "pull", "push")),
        *(("analyse", name) for name in ("shift", "gates")),
        *(("study", name) for name in ("list", "show", "run", "status", "results", "report")),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help(epitaxy, path):
    found = epitaxy(*path, "--help")
    assert found.code == 0
    assert f"Usage: {' '.join(('epitaxy', *path))} " in found.out
    assert not found.err


@pytest.mark.parametrize("path", [(), ("data",), ("zoo",), ("analyse",), ("study",)], ids=" ".join)
def test_a_group_alone_prints_its_help(epitaxy, path):
    found = epitaxy(*path)
    assert found.code == 2
    assert "Usage: " in found.out + found.err
    assert "epitaxy: " not in found.err


def test_unknown_command(epitaxy):
    assert "No such command 'trian'. Did you mean 'train'?" in epitaxy("trian").sentence


def test_version(epitaxy):
    found = epitaxy("--version")
    assert (found.code, found.out, found.err) == (0, f"epitaxy {version('epitaxy')}\n", "")


def test_version_in_a_process():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "epitaxy", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in environment().items() if k != "PYTHONWARNINGS"},
    )
    assert (done.returncode, done.stdout) == (0, f"epitaxy {version('epitaxy')}\n"), done.stderr


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_results_and_messages_go_separate_ways(epitaxy, salts, quiet):
    found = epitaxy(*quiet, "data", "info", salts)
    assert "30" in found.out
    assert bool(found.err) is not bool(quiet)


def test_zoo_list(epitaxy):
    found = epitaxy("zoo", "list")
    assert found.code == 0
    assert [line.split()[0] for line in found.out.splitlines()] == [
        f"zoo:{name}" for name in zoo_names()
    ]
    assert zoo_names()


@pytest.mark.parametrize("name", zoo_names())
def test_zoo_model(epitaxy, salts, name):
    folder = zoo_folder() / name
    files = {"card.md", "learned.safetensors", "model.json", "model.safetensors"}
    files |= {"checksums.json"}
    assert {p.name for p in folder.iterdir()} == files
    assert sum(p.stat().st_size for p in folder.iterdir()) < LARGEST
    shown = epitaxy("zoo", "show", name)
    assert shown.out == epitaxy("zoo", "show", f"zoo:{name}").out
    lines = dict(re.findall(r"^\| ([^|]+?) \| (.+) \|$", shown.out, re.MULTILINE))
    assert not [line for line in CARD if not lines.get(line)]
    model = load_model(f"zoo:{name}")
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,} parameters" in shown.out
    specs = model.specs.values()
    assert all(spec.unit or f"| `{spec.name}` | - |" in shown.out for spec in specs)
    assert set(read_learned(f"zoo:{name}").of) == set(model.specs)
    assert re.search(rf"MAE [\d.]+ {re.escape(next(iter(specs)).unit)}", shown.out)
    assert "/home" not in shown.out
    assert str(model.recipe.neighbours) in lines["Graphs"]
    found = epitaxy("predict", f"zoo:{name}", salts / f"{IDS[0]}.cif")
    assert found.code == 0, found.err
    assert np.isfinite(float(found.out.splitlines()[1].split(",")[2]))


@pytest.mark.shared
def test_imported_checkpoint_is_a_model_like_any_other(
    *, epitaxy, salts, shared, tmp_path, no_report
):
    command = ("import", shared / CHECKPOINT, "--out", "published")
    found = epitaxy(*command, "--property", "gap", "--unit", "eV")
    assert found.code == 0, found.err
    assert "cgcnn with " in found.out
    model = load_model("published")
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in found.out
    assert model.specs["gap"].unit == "eV"
    before = content(tmp_path / "published")
    assert before.keys() == {".epitaxy", "checksums.json", "model.json", "model.safetensors"}

    plan = epitaxy("finetune", "--from", "published", "--show-plan", "--strategy", "head")
    assert plan.code == 0
    assert plan.out.splitlines()[0].split()[0] == "group"
    predicted = epitaxy("predict", "published", salts, "--out", "p.csv")
    assert "30 crystals predicted" in predicted.out
    tuned = ("finetune", salts, "--target", "gap", "--from", "published", "--epochs", "1")
    assert epitaxy(*tuned, "--out", "run").code == 0
    assert '"imported"' in (tmp_path / "run" / "model.json").read_text()

    # A run is not trained into the place of a model, nor a model imported into it again.
    train = ("train", salts, "--target", "gap", "--epochs", "1", "--out", "published")
    assert "holds something other than a finished run" in epitaxy(*train).sentence
    assert "holds a model or a run" in epitaxy(*command).sentence
    assert content(tmp_path / "published") == before
    assert epitaxy(*command, "--overwrite", "--property", "other").code == 0
    assert load_model("published").names == ("other",)


@pytest.mark.shared
def test_a_classifier_is_not_imported(epitaxy, shared, tmp_path):
    path = shared / "checkpoints/cgcnn/semi-metal-classification.pth.tar"
    assert "only regression models" in epitaxy("import", path, "--out", "m").sentence
    assert not list(tmp_path.iterdir())
