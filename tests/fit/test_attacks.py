"""Files by which somebody tries to stop, fill or break the program; all readers say no in time."""

import copy
import json
import os
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.numpy import save_file

from bombs import LAUGHS
from epitaxy.checkpoints.learned import read_learned
from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.checksums import CHECKSUMS, verified
from epitaxy.core.errors import InputError
from epitaxy.evaluation.bundle import Bundle, Fold, Member
from epitaxy.evaluation.calibration import Calibration
from epitaxy.evaluation.shallow import ShallowModel
from epitaxy.models.heads import HeadConfig
from epitaxy.models.limits import check_size
from epitaxy.recipes.options import read_settings
from epitaxy.recipes.train import train
from epitaxy.results.predictions import read_predictions
from epitaxy.results.published import read_rules
from epitaxy.structures.selecting import select_ids
from epitaxy.structures.splits import read_split_file
from epitaxy.studies.run import run_study
from epitaxy.studies.study_file import read_study
from epitaxy.training.config import TrainingConfig
from salts import environment, in_memory

SECONDS = 20
QUICK = settings(
    max_examples=100,
    deadline=SECONDS * 1000,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
NUMBERS = st.one_of(
    st.integers(-10, 10),
    st.sampled_from([10**6, 10**12, 10**20, -(10**12), 0.0, 1e-12, 1e308, float("inf")]),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def edited(content, data):
    """Put something else at a random place of nested JSON."""
    content = node = copy.deepcopy(content)
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        inner = node[key]
        if isinstance(inner, dict | list) and len(inner) and data.draw(st.booleans()):
            node = inner
            continue
        node[key] = data.draw(VALUES)
        return content


def fails(read, *arguments):
    """Tell whether a reader refuses in a sentence; any other error is one of ours."""
    began = time.monotonic()
    try:
        read(*arguments)
    except InputError as error:
        text = str(error)
    else:
        text = ""
    assert time.monotonic() - began < SECONDS
    return text


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a model without checksums, as older ones are, and as somebody may send one."""
    out = tmp_path_factory.mktemp("attack") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epitaxy.recipes.running.write_run_report", lambda folder: None)
        shape = {"width": 8, "layers": 2}
        folder = train(in_memory(), "gap", out, encoder=shape, epochs=1).folder
    (folder / CHECKSUMS).unlink()
    return folder


@pytest.fixture(scope="module")
def bundle(finished, tmp_path_factory):
    folder = shutil.copytree(finished.folder, tmp_path_factory.mktemp("attack") / "fit")
    (folder / CHECKSUMS).unlink()
    return folder


def test_networks_too_large_to_build(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "run")
    content = json.loads((folder / "model.json").read_text())
    for change, words in (
        ({"layers": 1_000_000}, "layers = 1000000 .* out of range"),
        ({"width": 10**12}, "width = 1000000000000 .* out of range"),
        ({"step": 1e-9}, "step = 1e-09 .* out of range"),
        ({"width": 60_000}, "do not fit the model"),
        ({"layers": 100}, "do not fit the model"),
    ):
        new = {**content, "encoder": {**content["encoder"], **change}}
        (folder / "model.json").write_text(json.dumps(new))
        with pytest.raises(InputError, match=words):
            load_model(folder)
    content["heads"]["gap"]["config"]["hidden"] = [50_000, 50_000]
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="do not fit the model"):
        load_model(folder)


def test_settings_too_large():
    with pytest.raises(InputError, match="layers = 1000000"):
        check_size({"experts": [{"encoder": {"alignn_layers": 1_000_000}}]})
    with pytest.raises(InputError, match="a list of 1000"):
        check_size({"hidden": [1] * 1000})
    for wrong in ({"hidden": (10**12,)}, {"hidden": (1,) * 1000}):
        with pytest.raises(ValidationError):
            HeadConfig(**wrong)
    for wrong in ({"epochs": 10**9}, {"batch_size": 10**9}, {"learning_rate": float("inf")}):
        with pytest.raises(ValidationError):
            TrainingConfig(**wrong)
    with pytest.raises(InputError, match="layers = 1000000"):
        train(in_memory(), "gap", "never", encoder={"layers": 1_000_000})


def test_blends_are_means(bundle, tmp_path):
    for weights in ((), (0.5,), (0.7, 0.7), (float("nan"),), (2.0, -1.0)):
        members = [Member.model_construct(name="x", weight=w, path="x", is_network=False)
                   for w in weights]  # fmt: skip
        with pytest.raises(ValidationError):
            Fold(members=tuple(m.model_dump() for m in members), difficulty="x")
    folder = shutil.copytree(bundle, tmp_path / "fit")
    content = json.loads((folder / "fit.json").read_text())
    for change, words in (
        ({"folds": []}, "folds"),
        ({"whole": []}, "whole: .*0 models"),
        ({"whole": [{**content["whole"][0], "weight": 0.3}]}, "whole: .*sum to 0.3"),
        ({"format": "other"}, "format"),
        ({"version": 1}, "version 1, but"),
    ):
        (folder / "fit.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(InputError, match=words):
            Bundle.read(folder)


@QUICK
@given(st.data())
def test_any_description_of_a_model(model, data):
    path = model / "model.json"
    text = path.read_text()
    try:
        path.write_text(json.dumps(edited(json.loads(text), data)))
        fails(load_model, model)
    finally:
        path.write_text(text)


@QUICK
@given(st.data())
def test_any_description_of_a_bundle(bundle, data):
    path = bundle / "fit.json"
    text = path.read_text()
    few = in_memory().select(range(2))
    try:
        path.write_text(json.dumps(edited(json.loads(text), data)))
        fails(lambda: Bundle.read(bundle).answer(few))
    finally:
        path.write_text(text)


@QUICK
@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_weights(model, bundle, junk, place):
    shallow = next((bundle / "models").rglob("*.safetensors"))
    for read, path in (
        (lambda: load_model(model), model / "model.safetensors"),
        (lambda: read_learned(model), model / "learned.safetensors"),
        (lambda: Calibration.load(bundle), bundle / "calibration.safetensors"),
        (lambda: ShallowModel.load(shallow), shallow),
        (lambda: read_predictions(model / "predictions.parquet"), model / "predictions.parquet"),
    ):
        before = path.read_bytes()
        try:
            path.write_bytes(before[:place] + junk + before[place + len(junk) :])
            fails(read)
            path.write_bytes(junk)
            assert fails(read)
        finally:
            path.write_bytes(before)


READERS = {
    "settings": read_settings,
    "rules": read_rules,
    "study": read_study,
    "splits": read_split_file,
    "ids": lambda path: select_ids(str(path), in_memory()),
}


@pytest.mark.parametrize("kind", READERS)
@QUICK
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        VALUES.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(
            st.sampled_from(["name", "base", "axes", "train", "val", "compare", "about", "over"]),
            VALUES,
            max_size=4,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_settings(kind, tmp_path, content):
    path = tmp_path / ("x.json" if kind in {"splits", "ids"} else "x.yaml")
    path.write_bytes(content)
    fails(READERS[kind], path)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "text",
    [LAUGHS, "a: &a [*a]", "[" * 200_000, "a: " + "9" * 10_000, '{"a":' * 100_000, "x" * (1 << 20)],
    ids=["laughs", "itself", "deep", "digits", "deeper", "large"],
)
def test_bombs(kind, tmp_path, text):
    path = tmp_path / ("x.json" if kind in {"splits", "ids"} else "x.yaml")
    path.write_text(text)
    assert fails(READERS[kind], path)


@pytest.mark.parametrize("dry", [True, False])
def test_a_study_of_anchors(tmp_path, dry):
    (tmp_path / "study.yaml").write_text(LAUGHS)
    assert "values" in fails(
        lambda: run_study(tmp_path / "study.yaml", tmp_path / "o", dry_run=dry)
    )


@QUICK
@given(VALUES)
def test_any_list_of_checksums(tmp_path, value):
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / CHECKSUMS).write_text(json.dumps(value))
    assert fails(verified, tmp_path / "x.json")
    known = {"format": "epitaxy-checksums", "version": 1, "files": value}
    (tmp_path / CHECKSUMS).write_text(json.dumps(known))
    assert fails(verified, tmp_path / "x.json")


def test_one_large_tensor_does_not_make_a_width_plausible(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "run")
    save_file({"x": np.zeros(60_000, np.float32)}, folder / "model.safetensors")
    content = json.loads((folder / "model.json").read_text())
    content["encoder"] |= {"width": 60_000, "layers": 100}
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="do not fit the model"):
        load_model(folder)


@pytest.mark.parametrize("limit", [600 << 20, 1200 << 20])
def test_a_memory_limit_gives_a_sentence(limit):
    done = subprocess.run(
        [sys.executable, "-m", "epitaxy", "zoo", "list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment()},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    assert "ulimit -v unlimited" in done.stderr
    assert "Traceback" not in done.stderr
