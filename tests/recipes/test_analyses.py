"""Distances of a task from sources, and gates of mixture runs, as recipes."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from epitaxy.checkpoints.model_files import load_model, save_model
from epitaxy.core.errors import InputError
from epitaxy.evaluation.features import table_features
from epitaxy.recipes import analyse_gates as gates_module
from epitaxy.recipes.analyse_gates import analyse_gates, gate_weights, task_names
from epitaxy.recipes.analyse_shift import analyse_shift
from epitaxy.recipes.source_tasks import SourceTask, parse_source_task, source_table, target_task
from epitaxy.results.shift import feature_shift, label_shift
from epitaxy.structures.reading import read_table
from tiny import CRYSTALS, isolated, model
from tiny import table as tiny_table

DEMO = "demo:semiconductors"
GAP, ENERGY = "zoo:cgcnn-band-gap", "zoo:cgcnn-formation-energy"


@pytest.fixture(scope="module")
def demo():
    return read_table(DEMO, target="gap")


@pytest.fixture(scope="module")
def halves(demo):
    """Return the smaller and the larger gaps."""
    order = np.argsort(demo.values["gap"])
    return demo.select(order[:95]), demo.select(order[95:])


def test_a_task_is_at_no_distance_from_itself(tmp_path):
    found = analyse_shift(DEMO, "gap", [f"{GAP}={DEMO}", ENERGY], tmp_path / "out")
    near, bare = found.shifts.to_dict("records")
    assert (near["source"], near["property"], near["group"]) == ("cgcnn-band-gap", "gap", "conv-3")
    assert (near["source_rows"], near["target_rows"]) == (191, 191)
    assert near["feature_cmd"] == near["label_cmd"] == 0
    assert near["note"] == ""
    assert bare["source"] == "cgcnn-formation-energy"
    assert np.isnan(bare["feature_cmd"])
    assert np.isnan(bare["label_cmd"])
    assert bare["note"] == "no source table, hence no distance"
    assert list(found.nearest["n"]) == [1, 1]
    files = {p.name for p in found.folder.iterdir()}
    assert files == {".epitaxy", "shift.csv", "nearest.csv", "report.html", "figures"}
    written = pd.read_csv(found.folder / "shift.csv")
    assert list(written["source"]) == list(found.shifts["source"])


def test_distances_are_those_of_features_and_labels(halves, tmp_path):
    low, high = halves
    net = load_model(GAP)
    sources = [SourceTask(GAP, high, name="high"), SourceTask(net, low, name="same")]
    found = analyse_shift(low, "gap", sources, tmp_path / "out", resamples=20, seed=4)
    assert list(found.shifts["source"]) == ["same", "high"]
    row = found.shifts.loc[1]
    x, y = (table_features(net, half).values for half in (high, low))
    assert row["feature_cmd"] == pytest.approx(feature_shift(x, y), rel=1e-4)
    labels = high.values["gap"], low.values["gap"]
    assert row["label_cmd"] == pytest.approx(label_shift(*labels), rel=1e-9)
    assert 0 < row["feature_low"] < row["feature_high"]
    again = analyse_shift(low, "gap", sources, tmp_path / "out", resamples=20, seed=4)
    pd.testing.assert_frame_equal(again.shifts, found.shifts)


def test_another_depth_gives_other_features(halves, tmp_path):
    low, high = halves
    out = tmp_path / "out"
    found = [
        analyse_shift(low, "gap", [SourceTask(GAP, high)], out, group=group).shifts.loc[0]
        for group in (None, "conv-3", "embedding")
    ]
    assert found[0]["feature_cmd"] == found[1]["feature_cmd"] != found[2]["feature_cmd"]
    with pytest.raises(InputError, match="Unknown depth group 'conv-7'"):
        analyse_shift(low, "gap", [SourceTask(GAP, high)], out, group="conv-7")


def test_labels_are_taken_on_the_scale_on_which_they_are_learned(halves):
    low, _ = halves
    gaps = low.values["gap"]
    np.testing.assert_array_equal(target_task(low, "gap").labels, gaps)
    np.testing.assert_allclose(target_task(low, "gap", "log1p").labels, np.log1p(gaps))
    with pytest.raises(InputError, match="Unknown transform 'ln'"):
        target_task(low, "gap", "ln")
    net = model(names=("gap",))
    net.heads[0].scaler = net.heads[0].scaler.model_copy(update={"transform": "log"})
    np.testing.assert_allclose(source_table(SourceTask(net, low), net).labels, np.log(gaps))
    with pytest.raises(InputError, match="No value of 'y' has a number on the scale 'log'"):
        target_task(tiny_table(y=-np.ones(len(CRYSTALS))), "y", "log")


def test_which_property_of_a_source_is_meant():
    values = {"gap": np.arange(6.0), "volume": np.ones(6), "gap_published": np.ones(6)}
    several = tiny_table(**values)
    named, other = model(names=("gap",)), model(names=("band_gap",))
    assert source_table(SourceTask(named, several), named).property == "gap"
    assert source_table(SourceTask(other, several, "volume"), other).property == "volume"
    with pytest.raises(InputError, match=r"has 2 properties \(gap, volume\).*MODEL=DATA:PROPERTY"):
        source_table(SourceTask(other, several), other)
    only = tiny_table(gap=np.arange(6.0), gap_published=np.ones(6))
    assert source_table(SourceTask(other, only), other).property == "gap"


def test_what_cannot_be_used_is_listed(tmp_path):
    crystals = [*CRYSTALS, isolated(118)]
    goal = tiny_table(crystals, y=[np.nan, 1, 2, 3, 4, 5, 6])
    source = SourceTask(model(), tiny_table(), name="bare")
    found = analyse_shift(goal, "y", [source], tmp_path / "out")
    row = found.shifts.loc[0]
    assert row["target_rows"] == 6
    assert row["feature_cmd"] > 0
    assert np.isnan(row["label_cmd"])
    assert row["note"] == "no labels in the source table, hence no distance of labels"
    lost = pd.read_csv(found.folder / "dropped.csv")
    assert list(lost["id"]) == ["c0", "c6"]
    assert lost.loc[0, "reason"] == "no label"
    assert "118" in lost.loc[1, "reason"]
    heavy = SourceTask(model(), tiny_table([isolated(118)]))
    with pytest.raises(InputError, match="has a graph; the first, c0"):
        analyse_shift(goal, "y", [heavy], tmp_path / "out")


def test_a_run_knows_how_many_crystals_it_was_trained_on(finished, table, tmp_path):
    found = analyse_shift(table, "gap", [finished.folder], tmp_path / "out")
    assert list(found.shifts["source_rows"]) == [30]
    assert list(found.shifts["source"]) == ["run"]


def test_sources_as_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(model(), tmp_path / "rate=0.1")
    (tmp_path / "t.csv").touch()
    assert parse_source_task("rate=0.1") == SourceTask("rate=0.1")
    assert parse_source_task("rate=0.1=t.csv:gap") == SourceTask("rate=0.1", "t.csv", "gap")
    assert parse_source_task("nosuch") == SourceTask("nosuch")
    for text, words in {
        f"{GAP}=": "lacks a part",
        "=t.csv": "lacks a part",
        f"{GAP}=a=t.csv": "a part too many",
        f"{GAP}=nosuch.csv": "no file or folder 'nosuch.csv'",
        "nosuch=t.csv": "There is no model in 'nosuch'",
        f"{GAP}x=t.csv": "Unknown zoo model",
    }.items():
        with pytest.raises(InputError, match=words):
            parse_source_task(text)


@pytest.mark.parametrize(
    ("sources", "more", "words"),
    [
        ([], {}, "No source was named"),
        ([ENERGY], {"closest": 0}, "closest must be at least 1"),
        ([ENERGY], {"resamples": 1}, "0 or at least 2"),
        ([ENERGY], {"resamples": -3}, "0 or at least 2"),
        (["zoo:nosuch"], {}, "Unknown zoo model 'nosuch'"),
        ([f"{ENERGY}={DEMO}:gpa"], {}, "no property 'gpa'"),
    ],
)
def test_wrong_analysis(demo, sources, more, words, tmp_path):
    with pytest.raises(InputError, match=words):
        analyse_shift(demo, "gap", sources, tmp_path / "out", **more)
    assert not list(tmp_path.iterdir())


def test_nothing_of_value_is_written_over(finished, demo, tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / ".epitaxy").touch()
    save_model(model(), tmp_path / "ours" / "net")
    before = sorted(finished.folder.iterdir())
    for source, out, words in (
        (ENERGY, finished.folder, "holds a model or a run"),
        (tmp_path / "ours" / "net", tmp_path / "ours", "which would be lost"),
    ):
        with pytest.raises(InputError, match=words):
            analyse_shift(demo, "gap", [source], out)
        with pytest.raises(InputError, match=words):
            analyse_gates([source], out)
    assert sorted(finished.folder.iterdir()) == before


@pytest.fixture
def mixtures(tmp_path, monkeypatch):
    """Return a function that makes the folder of a mixture run with a gate of these weights."""
    gates = {}

    def load(folder):
        if str(folder) not in gates:
            return model()
        encoder = SimpleNamespace(gate_weights=lambda: gates[str(folder)])
        return SimpleNamespace(architecture="mixture", encoder=encoder)

    def make(name, weights, *, data="a/phonons.parquet", target="target", seed=0, **more):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        config = {"data": data, "target": [target], "training": {"seed": seed}, **more}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        gates[str(folder)] = weights
        return folder

    monkeypatch.setattr(gates_module, "load_model", load)
    return make


def test_gates_by_task_and_seed(mixtures, tmp_path, caplog):
    runs = [
        mixtures("p0", {"big": 0.6, "small": 0.4, "idle": 0.0}),
        mixtures("p1", {"big": 0.8, "small": 0.2, "idle": 0.0}, seed=1),
        mixtures("g0", {"big": 0.0, "small": 0.0, "idle": 1.0}, data="a/gaps.parquet"),
    ]
    sizes = {"big": 9000, "small": 40}
    with caplog.at_level(logging.WARNING, "epitaxy"):
        found = analyse_gates(runs, tmp_path / "out", sizes=sizes, top=2)
    assert not caplog.records
    tasks = ["target (phonons)", "target (phonons)", "target (gaps)"]
    assert list(found.gates.index) == list(zip(["p0", "p1", "g0"], tasks, [0, 1, 0], strict=True))
    agreed = found.agreement.set_index("task").loc["target (phonons)"]
    assert (agreed["runs"], agreed["overlap"]) == (2, 1)
    assert agreed["spearman"] == pytest.approx(1)
    files = {p.name for p in found.folder.iterdir()}
    assert files == {".epitaxy", "gates.csv", "agreement.csv", "report.html", "figures"}
    drawn = pd.read_csv(found.folder / "figures" / "gate_heat_map.csv")
    assert list(drawn.columns) == ["task", "small", "big", "idle"]
    np.testing.assert_allclose(drawn.loc[0, ["small", "big"]].astype(float), [0.3, 0.7])


def test_sizes_from_an_analysis_of_distances(mixtures, tmp_path):
    run = mixtures("p0", {"big": 0.6, "small": 0.4})
    sizes = tmp_path / "shift.csv"
    sizes.write_text("source,source_rows,feature_cmd\nbig,9000,0.1\nsmall,40,0.1\nunknown,,\n")
    found = analyse_gates([run], tmp_path / "out", sizes=sizes)
    assert "big (9,000)" not in (found.folder / "gates.csv").read_text()
    assert pd.read_csv(found.folder / "gates.csv").columns[-1] == "big"
    for text in ("", "a,b\n1,2\n", "source,source_rows\nbig,many\n"):
        sizes.write_text(text)
        with pytest.raises(InputError, match="no CSV table with the columns source and"):
            analyse_gates([run], tmp_path / "out", sizes=sizes)
    with pytest.raises(InputError, match="no CSV table"):
        analyse_gates([run], tmp_path / "out", sizes=tmp_path / "nosuch.csv")


def test_means_that_mix_settings_and_weights_that_do_not_decide_alone(mixtures, tmp_path, caplog):
    one = mixtures("k4", {"a": 1.0, "b": 0.0})
    two = mixtures("k18", {"a": 0.5, "b": 0.5}, gate="composition", aggregation="add")
    with caplog.at_level(logging.WARNING, "epitaxy"):
        analyse_gates([one, two], tmp_path / "out")
    first, second = caplog.messages
    assert "The mixture k18 has the gate composition" in first
    assert "2 runs of target have the seed 0" in second


def test_names_of_tasks_are_as_short_as_can_be():
    def named(*pairs):
        return task_names([{"data": data, "target": [target]} for data, target in pairs])

    assert named(("a/x.csv", "gap"), ("b/x.csv", "volume")) == ["gap", "volume"]
    assert named(("a/x.csv", "gap"), ("b/x.csv", "gap")) == ["gap (a/x.csv)", "gap (b/x.csv)"]
    assert named(("x.csv", "gap"), ("x.csv", "gap")) == ["gap", "gap"]


def test_wrong_runs(mixtures, finished, tmp_path):
    run = mixtures("p0", {"a": 1.0})
    out = tmp_path / "out"
    for runs, words in (
        ([], "No run was named"),
        ([run, run.parent / "." / "p0"], "stands there twice"),
        ([tmp_path / "nosuch"], "is not the folder of a finished run"),
        ([finished.folder], "is a cgcnn, which has no gate"),
    ):
        with pytest.raises(InputError, match=words):
            analyse_gates(runs, out)
    with pytest.raises(InputError, match="top=0 is not allowed"):
        analyse_gates([run], out, top=0)
    assert not out.exists()


def test_gate_of_a_real_mixture(tmp_path):
    """The contract with the encoder: the name of the architecture and `gate_weights`."""
    from epitaxy.models.heads import Head
    from epitaxy.models.mixture import Expert, Mixture
    from epitaxy.models.property_model import PropertyModel
    from tiny import encoder

    parts = [Expert(name, "cgcnn", encoder("cgcnn", seed=i)) for i, name in enumerate("abc")]
    mixed = Mixture(experts=parts, k=2)
    old = model().heads[0]
    head = Head(mixed.width, old.spec, old.scaler, mixed.default_head)
    save_model(PropertyModel("mixture", mixed, {"gap": head}), tmp_path)
    assert gate_weights(tmp_path) == {"a": 0.5, "b": 0.5, "c": 0.0}
