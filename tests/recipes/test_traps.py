"""Traps of other programs, each with the rule that keeps our users out of it."""

import json

import numpy as np
import pandas as pd
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.recipes.evaluate import evaluate
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.predict import predict
from epitaxy.recipes.train import train
from epitaxy.structures.splits import Split, kfold, random_split
from epitaxy.training.config import TrainingConfig
from salts import GAPS, IDS, cif, in_memory, write_folder


@pytest.mark.parametrize("batch_size", [7, 29, 64, 1000])
def test_trap_empty_validation_loader(quick, batch_size):
    """A part smaller than a batch, or not a multiple of it, is validated and scored whole."""
    split = Split(IDS[:20], IDS[20:25], IDS[25:])
    run = quick(split=split, batch_size=batch_size)
    assert [numbers["gap"]["n"] for numbers in run.metrics.values()] == [20, 5, 5]
    history = pd.read_csv(run.folder / "history.csv")
    assert np.isfinite(history["val_mae"]).all()
    assert run.mae("val") == pytest.approx(history["val_mae"].min(), rel=1e-5)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_trap_empty_part_of_the_split(quick, tmp_path, part):
    parts = {"train": IDS[:10], "val": IDS[10:20], "test": IDS[20:], part: []}
    with pytest.raises(InputError, match=f"The {part} part of the split is empty"):
        quick(split=parts)
    assert not list(tmp_path.iterdir())


def test_trap_test_numbers_from_last_weights(quick, table):
    options = {"epochs": 8, "schedule": "constant", "learning_rate": 0.03, "batch_size": 8}
    run = quick(**options)
    history = pd.read_csv(run.folder / "history.csv")["val_mae"]
    assert history.iloc[-1] > history.min()
    test = table.select(table.rows_of(run.predictions.query("split == 'test'")["id"]))
    assert evaluate(run.folder, test, "gap")["mae"] == pytest.approx(run.mae("test"), rel=1e-5)
    assert quick(**options, weights="last").mae("test") != pytest.approx(run.mae("test"), rel=1e-3)


LAYOUTS = {
    "cgcnn": {"header": "", "table": "id_prop.csv"},
    "header": {"header": "material,gap", "table": "values.csv"},
    "file-names": {"header": "", "table": "id_prop.csv", "suffix": ".cif"},
    "semicolons": {"header": "id;gap", "table": "values.csv", "delimiter": ";"},
    "tabs": {"header": "id\tgap", "table": "values.tsv", "delimiter": "\t"},
    "value-first": {"header": "gap,id", "table": "values.csv", "reverse": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_trap_header_file_name_column_and_delimiter(quick, tmp_path, layout):
    choice = LAYOUTS[layout]
    folder = write_folder(tmp_path / "data", table=choice["table"])
    rows = [(f"{i}{choice.get('suffix', '')}", str(GAPS[i])) for i in IDS]
    rows = [row[::-1] for row in rows] if choice.get("reverse") else rows
    lines = [choice.get("delimiter", ",").join(row) for row in rows]
    (folder / choice["table"]).write_text("\n".join(filter(None, [choice["header"], *lines])))
    run = quick(folder, epochs=1)
    labels = run.predictions.set_index("id")["y_true"]
    assert labels.to_dict() == GAPS


def test_trap_unmatched_ids_are_listed_both_ways(quick, tmp_path):
    folder = write_folder(tmp_path / "data")
    (folder / "salt-03.cif").rename(folder / "salt-33.cif")
    run = quick(folder, epochs=1)
    dropped = dict(pd.read_csv(run.folder / "dropped.csv").to_numpy())
    assert dropped == {
        "salt-03": "no structure file for this row of id_prop.csv",
        "salt-33": "no row in id_prop.csv",
    }


def test_trap_nan_label(quick):
    """Rows without a label change nothing but the count of what was dropped."""
    holes = {"salt-03": np.nan, "salt-12": np.nan}
    rest = tuple(i for i in IDS if i not in holes)
    split = {"train": rest[:20], "val": rest[20:24], "test": rest[24:]}
    with_holes = quick(in_memory(gaps=holes), split=split)
    without = quick(in_memory(ids=rest), split=split)
    assert with_holes.metrics == without.metrics
    assert not np.isnan(with_holes.predictions["y_true"]).any()
    dropped = pd.read_csv(with_holes.folder / "dropped.csv")
    assert dropped.to_numpy().tolist() == [[i, "no label"] for i in holes]
    with pytest.raises(InputError, match="no usable value in any of 30 rows"):
        quick(in_memory(gaps=dict.fromkeys(IDS, np.nan)))


def test_trap_nan_label_of_one_of_several_properties(quick, table):
    spec = table.properties["gap"].model_copy(update={"name": "other"})
    values = np.where(np.arange(30) % 2, table.values["gap"], np.nan)
    run = quick(table.with_property(spec, values), ["gap", "other"])
    counts = {k: sum(p[k]["n"] for p in run.metrics.values() if k in p) for k in ("gap", "other")}
    assert counts == {"gap": 30, "other": 15}
    assert np.isfinite(pd.read_csv(run.folder / "history.csv")).all(axis=None)


def test_trap_ordered_split_by_default(quick, table):
    run = quick(epochs=1)
    parts = run.predictions.groupby("split")["id"].apply(set)
    assert parts["test"] != set(IDS[-3:])
    assert parts["test"] != set(IDS[:3])
    other = quick(epochs=1, seed=1).predictions.groupby("split")["id"].apply(set)
    assert other["test"] != parts["test"]


def test_trap_duplicates_torn_apart(no_report, tmp_path):
    """Every formula occurs three times; no formula may be in two parts."""
    ids = [f"{i}-{copy}" for i in IDS for copy in range(3)]
    one = in_memory()
    rows = np.repeat(np.arange(30), 3)
    lattices = one.lattices[rows] * np.tile([1.0, 1.02, 1.04], 30)[:, None, None]
    table = type(one).from_arrays(
        ids=ids,
        lattices=list(lattices),
        atomic_numbers=[one.atomic_numbers[2 * r : 2 * r + 2] for r in rows],
        frac_coords=[one.frac_coords[2 * r : 2 * r + 2] for r in rows],
        values={"gap": one.values["gap"][rows]},
    )
    run = train(table, "gap", tmp_path / "run", encoder={"width": 4, "layers": 1}, epochs=1)
    where = dict(run.predictions[["id", "split"]].to_numpy())
    for i in IDS:
        assert len({where[f"{i}-{copy}"] for copy in range(3)}) == 1
    for split in [random_split(table, seed=3), *kfold(table, k=4, seed=3)]:
        groups = [{name.rsplit("-", 1)[0] for name in p} for p in split.as_dict().values()]
        assert sum(map(len, groups)) == 30


def test_trap_unread_config_key(quick, tmp_path):
    for given in (
        {"training": {"epoch": 3}},
        {"epoch": 3},
        {"graph": {"cut": 3}},
        {"head": {"hiden": (3,)}},
    ):
        with pytest.raises(InputError, match="unknown key"):
            quick(**given)
    for encoder, words in (
        ({"widht": 3}, "unknown key 'widht'. Did you mean 'width'"),
        ({"recipe": 3}, "unknown key 'recipe'"),
        ({"width": "wide"}, "width = 'wide'"),
        ({"layers": 0}, "layers = 0"),
    ):
        with pytest.raises(InputError, match=words):
            train(in_memory(), "gap", tmp_path / "run", encoder=encoder)
    with pytest.raises(InputError, match=r"hidden.0 = 0: .* or equal to 1"):
        quick(head={"hidden": (0,)})
    with pytest.raises(InputError, match="Unknown scaling 'standardize'"):
        quick(scaling="standardize")
    assert not list(tmp_path.iterdir())


def outcome(run):
    """Return all numbers of a run but the seconds."""
    history = pd.read_csv(run.folder / "history.csv").drop(columns="seconds")
    return run.metrics, history.to_numpy().tolist()


BASE = {"epochs": 4, "batch_size": 8, "learning_rate": 0.01}
CHANGES = {
    "epochs": {"epochs": 5},
    "batch_size": {"batch_size": 5},
    "learning_rate": {"learning_rate": 0.02},
    "optimiser": {"optimiser": "sgd"},
    "weight_decay": {"weight_decay": 0.5},
    "momentum": {"momentum": 0.5, "schedule": "constant"},
    "schedule": {"schedule": "triangular"},
    "schedule_epochs": {"schedule_epochs": 8},
    "minimum_rate": {"schedule": "cosine", "minimum_rate": 0.005},
    "loss": {"loss": "mse"},
    "huber_delta": {"loss": "huber", "huber_delta": 0.1},
    "patience": {"patience": 1, "learning_rate": 0.3, "epochs": 9},
    "gradient_clip": {"gradient_clip": 0.01},
    "weights": {"weights": "last", "learning_rate": 0.3, "epochs": 9},
    "precision": {"precision": "bf16"},
    "sampling_bins": {"sampling_bins": 3},
    "seed": {"seed": 1},
}
WITHOUT_EFFECT_ON_NUMBERS = {"device", "logger", "checkpoint_seconds", "published_batchnorm"}
"""Tested where they act: bad devices, killed runs, loggers, and frozen layers."""


OF_SEVERAL = {
    "balance": {"balance": "properties"},
    "sampling_temperature": {"sampling_temperature": 4.0},
}
"""Tested with several properties; with one they are refused."""


def test_every_setting_of_training_is_tested():
    tested = CHANGES.keys() | OF_SEVERAL.keys() | WITHOUT_EFFECT_ON_NUMBERS
    assert tested == TrainingConfig.model_fields.keys()


@pytest.mark.parametrize("key", OF_SEVERAL)
def test_trap_setting_of_several_properties_that_does_nothing(quick, table, tmp_path, key):
    rare = np.where(np.arange(len(table)) % 3, np.nan, table.values["gap"] ** 2)
    two = table.with_property(PropertySpec(name="rare"), rare)
    fixed = BASE | {"balance": "labels", "sampling_temperature": None, "split": "random:0"}
    runs = [quick(two, ["gap", "rare"], **fixed | change) for change in ({}, OF_SEVERAL[key])]
    assert outcome(runs[0]) != outcome(runs[1])
    with pytest.raises(InputError, match=f"{key!r} weighs several properties .* only 'gap'"):
        quick(**OF_SEVERAL[key])
    with pytest.raises(InputError, match=f"{key!r} weighs several"):
        finetune(table, "gap", runs[0].folder, tmp_path / "tuned", **OF_SEVERAL[key])
    with pytest.raises(InputError, match="'sampling_bins' draws by the values of one property"):
        quick(two, ["gap", "rare"], sampling_bins=30)
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize("key", CHANGES)
def test_trap_setting_that_does_nothing(quick, key):
    """Each key changes the outcome when it alone is changed."""
    changed = BASE | CHANGES[key]
    neighbour = {k: v for k, v in changed.items() if k != key}
    neighbour |= {key: BASE[key]} if key in BASE else {}
    split = "random:0"  # the seed must not act through the split
    assert outcome(quick(**changed, split=split)) != outcome(quick(**neighbour, split=split))


@pytest.mark.parametrize(
    ("graph", "head"),
    [
        ({"cutoff": 5.0}, {}),
        ({"neighbours": 6}, {}),
        ({"rule": "cgcnn"}, {}),
        ({}, {"hidden": (8,)}),
        ({}, {"act": "relu"}),
        ({}, {"first": False}),
    ],
)
def test_trap_setting_of_graph_or_head_that_does_nothing(quick, graph, head):
    assert quick(graph=graph, head=head).metrics != quick().metrics


def test_trap_file_naming_decides_loading(quick, table, tmp_path):
    """A model folder can be renamed and moved; all it needs is inside."""
    run = quick(graph={"cutoff": 5.0, "neighbours": 8}, unit="eV", transform="log1p")
    expected = predict(run.folder, table)
    moved = run.folder.rename(tmp_path / "cgcnn_best.pth formation energy")
    for path in moved.iterdir():
        if path.name not in {"model.json", "model.safetensors"}:
            path.unlink()
    pd.testing.assert_frame_equal(predict(moved, table), expected)
    header = json.loads((moved / "model.json").read_text())
    assert header["recipe"]["cutoff"] == 5.0
    assert header["heads"]["gap"]["spec"]["unit"] == "eV"
    assert header["heads"]["gap"]["scaler"]["transform"] == "log1p"


def test_trap_bad_cifs(quick, tmp_path):
    """One bad file out of many never stops a training or a prediction."""
    folder = write_folder(tmp_path / "data")
    (folder / "salt-00.cif").write_text("")
    (folder / "salt-01.cif").write_bytes(b"\0\1\2")
    (folder / "salt-02.cif").write_text(cif("salt-02", occupancy=0.5))
    (folder / "salt-03.cif").write_text(cif("salt-03", elements=("Lr", "Cl")))
    (folder / "salt-04.cif").write_text(cif("salt-04").replace("_cell_length_a", "_cell_length_x"))
    bad = {f"salt-0{n}" for n in range(5)}
    run = quick(folder)
    dropped = dict(pd.read_csv(run.folder / "dropped.csv").to_numpy())
    assert dropped.keys() == bad
    assert all(len(reason) > 10 for reason in dropped.values())
    assert set(run.predictions["id"]) == set(IDS) - bad
    out = tmp_path / "new.csv"
    assert len(predict(run.folder, folder, out)) == 25
    assert len(pd.read_csv(f"{out}.dropped.csv")) == 5
    # The next, faultless prediction leaves no list of an earlier one behind.
    predict(run.folder, folder / "salt-09.cif", out)
    assert not (tmp_path / "new.csv.dropped.csv").exists()
