"""What stays together in the parts of a run, and what the run says of it."""

import pytest
import yaml

from allotropes import allotropes
from epitaxy.core.errors import InputError
from epitaxy.recipes.train import train
from epitaxy.structures.grouping import group_labels
from epitaxy.studies.verbs import run_verb

SMALL = {"epochs": 1, "encoder": {"width": 4, "layers": 1}}


def labels_of_parts(run, table, by):
    """Return the groups that stand in each part."""
    labels = dict(zip(table.ids, group_labels(table, by), strict=True))
    frame = run.predictions
    return [{labels[i] for i in frame["id"][frame["split"] == p]} for p in ("train", "val", "test")]


@pytest.fixture(scope="module")
def carbon():
    return allotropes(n=12, copies=3)


def test_one_composition_is_divided_by_structure(carbon, tmp_path, caplog):
    with caplog.at_level("INFO", "epitaxy"):
        run = train(carbon, "energy", tmp_path / "run", **SMALL)
    assert "all 36 crystals have the composition C" in caplog.text
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["group_by"] == "structure"
    seen, val, test = labels_of_parts(run, carbon, "structure")
    assert not (seen & val)
    assert not (seen & test)
    assert not (val & test)


@pytest.mark.parametrize("by", ["batch", "none"])
def test_what_is_asked_for_is_done_and_written_down(carbon, tmp_path, by):
    carbon = carbon.with_property(carbon.properties["batch"], [k // 4 for k in range(36)])
    carbon.to_parquet(tmp_path / "t.parquet")
    for run in (
        train(tmp_path / "t.parquet", "energy", tmp_path / "a", group_by=by, **SMALL),
        run_verb(
            "train",
            {
                "data": str(tmp_path / "t.parquet"),
                "target": "energy",
                "group_by": by,
                "split": {"test": 0.2},
                **SMALL,
            },
            tmp_path / "b",
        ),
    ):
        config = yaml.safe_load((run.folder / "config.yaml").read_text())
        assert config["group_by"] == by
        assert config["target"] == ["energy"]
        seen, val, test = labels_of_parts(run, carbon, by)
        assert not (seen & val)
        assert not (seen & test)
        assert not (val & test)


def test_given_parts_stay_as_they_are(carbon, tmp_path):
    ids = [str(i) for i in carbon.ids]
    split = {"train": ids[::3], "val": ids[1::3], "test": ids[2::3]}
    run = train(carbon, "energy", tmp_path / "run", split=split, **SMALL)
    assert "group_by" not in yaml.safe_load((run.folder / "config.yaml").read_text())
    assert [len(part) for part in labels_of_parts(run, carbon, "none")] == [12, 12, 12]


def test_a_wrong_column_leaves_nothing_behind(carbon, tmp_path):
    with pytest.raises(InputError, match=r"'bacth'.*Did you mean 'batch'"):
        train(carbon, "energy", tmp_path / "run", group_by="bacth", **SMALL)
    assert not list(tmp_path.iterdir())
