"""The page of a data set."""

import numpy as np
import pytest

from epitaxy.reports.data_report import data_report, element_counts, property_values, system_counts
from epitaxy.structures.table import StructureTable
from pages import check_page


@pytest.fixture
def table():
    """Rock salt (cubic), a stretched one (tetragonal) and an oblique one (triclinic)."""
    cube = np.eye(3) * 4.1
    pair = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return StructureTable.from_arrays(
        ids=["a", "b", "c"],
        lattices=[cube, cube * [[1], [1], [1.3]], [[4, 0.3, 0], [0, 5, 0.7], [0.9, 0, 6]]],
        atomic_numbers=[[55, 17], [55, 35], [11, 17]],
        frac_coords=[pair, pair, [[0, 0, 0], [0.4, 0.3, 0.2]]],
        values={"gap": [8.3, np.nan, 5.0]},
    )


def test_what_is_counted(table):
    counts = element_counts(table)
    assert dict(counts.to_numpy().tolist()) == {11: 1, 17: 2, 35: 1, 55: 2}
    systems, n = system_counts(table)
    assert n == 3
    assert dict(zip(systems["system"], systems["crystals"], strict=True)) == {
        "triclinic": 1,
        "tetragonal": 1,
        "cubic": 1,
    }
    assert property_values(table)["value"].tolist() == [8.3, 5.0]


def test_the_page(table, tmp_path, monkeypatch):
    monkeypatch.setattr("epitaxy.reports.data_report.MOST_SYMMETRIES", 2)
    path = data_report(table, tmp_path / "out")
    check_page(path)
    html = path.read_text()
    assert html.count("<svg") == 3
    assert "Crystal systems are those of 2 crystals" in html
    names = {"periodic_table", "crystal_systems", "property_violins"}
    for ending in ("png", "csv", "pdf"):
        assert {p.stem for p in (tmp_path / "out" / "figures").glob(f"*.{ending}")} == names
