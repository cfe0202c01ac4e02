"""``epitaxy predict --prototype``."""

import pandas as pd
import pytest

from salts import cif


@pytest.fixture
def prototype(tmp_path):
    path = tmp_path / "CsCl.cif"
    path.write_text(cif("x", elements=("Cs", "Cl"), edge=4.12))
    return path


def test_lists_and_files_of_elements(epitaxy, trained, prototype, tmp_path):
    out = tmp_path / "out.csv"
    lists = ("--elements", "Cs=Na,K", "--elements", "Cl=F,Br")
    found = epitaxy("predict", trained, "--prototype", prototype, *lists, "--out", out)
    assert found.code == 0
    assert "4 crystals predicted" in found.out
    assert "reads bond lengths" in found.err
    (tmp_path / "rows.csv").write_text("Cs,Cl\nK,Br\nNa,F\n")
    shown = epitaxy("predict", trained, "--prototype", prototype, "--elements", "rows.csv").out
    by_id = pd.read_csv(out).set_index("id")["y_pred"]
    for line in shown.splitlines()[1:]:
        name, _, value, unit = line.split(",")
        assert float(value) == pytest.approx(by_id[name])
        assert unit == "eV"
    assert len(shown.splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--elements", "Cs=K"],
        ["--prototype", "CsCl.cif"],
        ["CsCl.cif", "--prototype", "CsCl.cif", "--elements", "Cs=K"],
    ],
)
def test_structures_or_a_prototype_with_elements(epitaxy, trained, prototype, arguments):
    assert "or a prototype with elements" in epitaxy("predict", trained, *arguments).sentence
