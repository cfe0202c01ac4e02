"""The studies that are shipped: each expands without mistakes, and sources see no test crystal."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from epitaxy.core.properties import PropertySpec
from epitaxy.structures.matching import same_material
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable
from epitaxy.studies.expanding import TABLE
from epitaxy.studies.results import study_results
from epitaxy.studies.run import plan_study, run_study
from epitaxy.studies.study_file import ready_names, ready_studies
from epitaxy.studies.tables import labelled_table, merge_tables, read_selections
from salts import IDS, in_memory

BULK = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")
TASKS = (
    *("mp_phonons", "piezoelectric_tensor", "mp_eps_electronic", "mp_poisson_ratio"),
    *("mp_poly_electronic", "mp_poly_total", "jarvis_2d_gap_opt", "jarvis_2d_gap_tbmbj"),
    *("jarvis_2d_dielectric_opt", "jarvis_2d_dielectric_tbmbj"),
)
OF_EXPERTS = {"mixture-benchmark", "sparsity", "aggregation"}
"""Studies that take models as they are given."""
SIZES = (10, 100, 200, 500, 800)


def table(name, ids) -> StructureTable:
    """Return salts under ids that say nothing about them, with a property called target."""
    made = in_memory(ids=ids)
    return replace(
        made,
        ids=np.array([f"{name}-{i}" for i in ids], dtype=object),
        values={"target": made.values["gap"]},
        properties={"target": PropertySpec(name="target")},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write tables and split files in the layout of the two papers; tables share many crystals."""
    folder = tmp_path_factory.mktemp("tables")
    for n, name in enumerate((*BULK, "jarvis_2d")):
        ids = [i for m, i in enumerate(IDS) if m % 8 != n]
        table(name, ids).to_parquet(folder / f"{name}.parquet")
        rows = [f"{name}-{i}" for i in ids]
        trials = {str(t): {str(s): rows[5:] for s in SIZES} for t in range(1, 6)}
        content = {"test": rows[:5], "train": rows[5:], "trials": trials}
        (folder / f"{name}.splits.json").write_text(json.dumps(content))
    for name in TASKS:
        table(name, IDS).to_parquet(folder / f"{name}.parquet")
        rows = [f"{name}-{i}" for i in IDS]
        parts = {"train": rows[:20], "val": rows[20:25], "test": rows[25:]}
        seeds = {f"seed{n}": parts for n in range(5)}
        (folder / f"{name}.splits.json").write_text(json.dumps(seeds))
    return folder


def given(name, folder) -> dict[str, str]:
    values = {"data_folder": str(folder)}
    if name == "sparsity":
        values["experts"] = ",".join(f"descriptors:{d}" for d in ("composition", "geometry"))
    return values


def small(name) -> dict[str, list[int]]:
    """Return values with which a study fits to two experts."""
    return {"k": [1, 2]} if name == "sparsity" else {}


@pytest.mark.parametrize("name", ready_names())
@pytest.mark.parametrize("quick", [True, False], ids=["quick", "whole"])
def test_each_expands_without_mistakes(name, quick, folder):
    study, plan, text = plan_study(name, given(name, folder) | small(name), quick=quick)
    assert study.about
    assert study.compare is not None
    assert study.compare.baseline
    assert len(plan.runs) >= 4
    assert "${" not in text
    of_trials = {run.arguments.get("training", {}).get("seed") for run in plan.runs.values()}
    assert len(of_trials - {None}) == (2 if quick else 5)


@pytest.mark.parametrize("name", sorted(set(ready_names()) - OF_EXPERTS))
def test_sources_never_see_a_test_crystal(name, folder, tmp_path):
    """Of every run that starts from a model, no crystal of the test part is in what that read."""
    _, plan, _ = plan_study(name, given(name, folder))
    joined = {i: tmp_path / i / TABLE for i, run in plan.runs.items() if run.verb == "merge"}
    for i, file in joined.items():
        merge_tables(plan.runs[i].arguments["data"], file.parent, keep="first")
    read = {i: seen(run, joined) for i, run in plan.runs.items() if run.verb == "train"}
    checked = set()
    for run in plan.runs.values():
        pairs = {(need, run.arguments["data"]) for need in run.needs if run.verb == "finetune"}
        for need, data in pairs - checked:
            assert not same_material(read[need], rows_of_test(data)).any()
            checked.add((need, data))
    assert checked
    everything = read_table(folder / "fe.parquet")
    assert same_material(everything, rows_of_test(str(folder / "ph.parquet"))).any()


def seen(run, joined) -> StructureTable:
    """Return the rows from which a source is drawn."""
    arguments = dict(run.arguments)
    data = arguments["data"].removeprefix("source:")
    arguments["data"] = joined.get(data, arguments["data"])
    arguments["exclude_like"] = read_selections(arguments.get("exclude_like", ()))
    return labelled_table(arguments)


def rows_of_test(data) -> StructureTable:
    """Return the test part of a table."""
    rows = json.loads(Path(data).with_suffix(".splits.json").read_text())["test"]
    whole = read_table(data)
    return whole.select(whole.rows_of(rows))


def test_the_list():
    found = {study.name: study for study in ready_studies()}
    assert list(found) == ready_names()
    assert len(found) == 12
    assert found["pair-wise"].size == 7 * 7 * 5
    assert all(0 < study.quick_size < study.size for study in found.values())
    assert found["sparsity"].needs == ("data_folder", "experts")


@pytest.mark.shared
@pytest.mark.slow
def test_a_quick_study_of_published_data(shared, tmp_path):
    """Two trials of three kinds of sources and two targets, in a process as users run it."""
    folder = shared / "datasets" / "devi2024"
    values = {"data_folder": str(folder), "size": 100, "source_size": 100}
    done = run_study("pair-wise", tmp_path / "out", parameters=values, quick=True, workers=1)
    assert not done.failed
    assert len(study_results(done.folder)) == 12
