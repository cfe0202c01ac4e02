"""One flipped bit in a finished run: another prediction is never given without a word."""

import shutil

import numpy as np
import pytest

from epitaxy.checkpoints.model_files import load_model, zoo_folder
from epitaxy.core.checksums import APART, CHECKSUMS, COVERED, read_list
from epitaxy.core.errors import InputError
from epitaxy.evaluation.bundle import Bundle
from epitaxy.fitting.fit import fit, open_fit
from epitaxy.recipes.predict import predict
from epitaxy.recipes.running import read_run
from epitaxy.recipes.train import train
from problems import FEW
from salts import in_memory

ALIGNN = {"width": 8, "embedding": 8, "alignn_layers": 1, "gcn_layers": 1, "norm": "layer"}


@pytest.fixture(scope="module")
def table():
    return in_memory()


@pytest.fixture(scope="module")
def runs(table, tmp_path_factory):
    """Return a CGCNN run, an ALIGNN run, and a bundle that embeds with a network."""
    place = tmp_path_factory.mktemp("flips")
    ways = {"sources": "zoo:cgcnn-formation-energy", **FEW}
    ways |= {"candidates": "embeddings", "unit": "eV"}
    made = {"bundle": fit(table, "gap", place / "bundle", **ways).folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitaxy.recipes.running.write_run_report", lambda folder: None)
        for model, encoder in (("cgcnn", {"width": 8, "layers": 2}), ("alignn", ALIGNN)):
            out = place / model
            made[model] = train(table, "gap", out, model=model, encoder=encoder, epochs=2).folder
    return made


def says(folder, table):
    """Return all numbers that a run gives, of the past and for new crystals."""
    found = predict(folder, table)
    kept = open_fit(folder) if (folder / "fit.json").is_file() else read_run(folder)
    past = kept.predictions
    columns = ["y_pred", "y_lower", "y_upper"]
    return np.concatenate([found[columns].to_numpy(), past[columns].to_numpy()])


def flipped(folder, table, flips, generator):
    """Flip single bits, in every file alike; return how many changed numbers silently, and all."""
    wanted = says(folder, table)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    silent = []
    for number in range(flips):
        path = files[number % len(files)]
        before = path.read_bytes()
        damaged = bytearray(before)
        damaged[generator.integers(len(before))] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        try:
            if not np.array_equal(says(folder, table), wanted, equal_nan=True):
                silent.append(path.name)
        except InputError as error:
            # Said, but not of the file that was damaged: nobody would find it.
            silent += [] if path.name in str(error) or CHECKSUMS in str(error) else [str(error)]
        finally:
            path.write_bytes(before)
    return silent, len(files)


@pytest.mark.parametrize("kind", ["cgcnn", "alignn", "bundle"])
def test_a_flipped_bit_is_told(runs, table, kind):
    few = table.select(range(3))
    silent, files = flipped(runs[kind], few, 15, np.random.default_rng(0))
    assert files > 5
    assert silent == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cgcnn", "alignn", "bundle"])
def test_two_hundred_flipped_bits_are_told(runs, table, kind):
    silent, _ = flipped(runs[kind], table.select(range(3)), 200, np.random.default_rng(1))
    assert silent == []


def test_what_is_covered(runs):
    for folder in runs.values():
        listed = set(read_list(folder / CHECKSUMS))
        found = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix in COVERED and not APART & set(path.relative_to(folder).parts)
        }
        assert listed == found - {CHECKSUMS}
    assert any(name.startswith("sources/") for name in read_list(runs["bundle"] / CHECKSUMS))


def test_people_may_write_into_what_is_for_them(runs, table, tmp_path):
    folder = shutil.copytree(runs["bundle"], tmp_path / "run")
    before = says(folder, table)
    (folder / "README.md").write_text("My own words.")
    (folder / "report.html").write_text("<p>Mine</p>")
    (folder / "notes.json").write_text("{}")
    assert np.array_equal(says(folder, table), before, equal_nan=True)


def test_older_runs_have_no_checksums(runs, table, tmp_path):
    folder = shutil.copytree(runs["cgcnn"], tmp_path / "run")
    (folder / CHECKSUMS).unlink()
    assert np.array_equal(says(folder, table), says(runs["cgcnn"], table), equal_nan=True)


def test_a_list_that_is_damaged_or_lacks_a_file(runs, tmp_path):
    folder = shutil.copytree(runs["cgcnn"], tmp_path / "run")
    text = (folder / CHECKSUMS).read_text()
    for damage, words in (
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (text.replace('"version": 1', '"version": 2'), "version 1"),
        (text.replace("model.json", "other.json"), "is not in the list"),
    ):
        (folder / CHECKSUMS).write_text(damage)
        with pytest.raises(InputError, match=words):
            load_model(folder)


def test_networks_of_a_bundle_are_covered_by_its_list(runs, tmp_path):
    folder = shutil.copytree(runs["bundle"], tmp_path / "run")
    (source,) = (folder / "sources").iterdir()
    weights = source / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors' is damaged or was changed"):
        _ = Bundle.read(folder).sources


def test_shipped_models_have_checksums():
    for header in zoo_folder().glob("*/model.json"):
        assert set(read_list(header.parent / CHECKSUMS)) >= {"model.json", "model.safetensors"}
        load_model(header.parent)
