"""Prototypes with other elements: which crystals come out, and what is refused."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.structures.prototype import choices, substituted
from salts import cif

CSCL = ("Cs", "Cl")


@pytest.fixture
def prototype(tmp_path):
    path = tmp_path / "CsCl.cif"
    path.write_text(cif("x", elements=CSCL, edge=4.12))
    return path


def test_lists_are_combined_and_different_elements_stay_different():
    found = choices({"Sr": ["Ca", "Ti"], "O": ["S", "Se"]}, ["Sr", "Ti", "O"])
    assert [tuple(choice.values()) for choice in found] == [("Ca", "Ti", "S"), ("Ca", "Ti", "Se")]
    assert choices(["Na=K,Rb", "Na=Cs", "Na=K"], ["Na", "Cl"]) == [
        {"Na": other, "Cl": "Cl"} for other in ("K", "Rb", "Cs")
    ]
    assert choices("Na=K", ["Na"]) == [{"Na": "K"}]


def test_rows_of_a_file_are_taken_as_they_are(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("Na,Cl\nK,Br\nBr,Br\nK,Br\n")
    assert choices(path, ["Na", "Cl"]) == [{"Na": "K", "Cl": "Br"}, {"Na": "Br", "Cl": "Br"}]
    path.write_text("Cl;Na\nF;Li\n")
    assert choices([str(path)], ["Na", "Cl"]) == [{"Na": "Li", "Cl": "F"}]
    path.write_text("Cl\nF\nBr\n")
    assert [choice["Cl"] for choice in choices(str(path), ["Na", "Cl"])] == ["F", "Br"]


def test_only_the_elements_change(prototype):
    table = substituted(prototype, {"Cs": ["Na", "K"], "Cl": "Br"})
    assert list(table.ids) == ["CsCl:Na-Br", "CsCl:K-Br"]
    assert table.formulas == ("BrNa", "BrK")
    for row in range(2):
        np.testing.assert_allclose(table.lattices[row], np.eye(3) * 4.12, atol=1e-9)
    assert table.frac_coords.tolist() == [[0, 0, 0], [0.5, 0.5, 0.5]] * 2


def test_predicted_volumes_follow_the_size_of_the_elements(prototype):
    pytest.importorskip("pymatgen.core.structure_prediction.volume_predictor")
    table = substituted(prototype, {"Cs": ["Li", "Cs"], "Cl": ["F", "I"]}, volume="predicted")
    edges = dict(zip(table.ids, np.cbrt(np.linalg.det(table.lattices)), strict=True))
    assert edges["CsCl:Li-F"] < edges["CsCl:Li-I"] < edges["CsCl:Cs-I"]
    assert edges["CsCl:Cs-I"] == pytest.approx(4.57, rel=0.15)  # as measured for CsI
    assert table.frac_coords.tolist() == [[0, 0, 0], [0.5, 0.5, 0.5]] * 4


def test_elements_without_radii_are_dropped_with_a_reason(prototype, tmp_path):
    pytest.importorskip("pymatgen.core.structure_prediction.volume_predictor")
    rows = tmp_path / "rows.csv"
    rows.write_text("Cs,Cl\nLi,F\nHe,Ne\n")
    table = substituted(prototype, rows, volume="predicted")
    assert list(table.ids) == ["CsCl:Li-F"]
    assert table.dropped[0].id == "CsCl:He-Ne"
    assert "its volume cannot be predicted" in table.dropped[0].reason
    with pytest.raises(InputError, match="No volume can be predicted; the first, CsCl:He-Ne"):
        substituted(prototype, {"Cs": "He", "Cl": "Ne"}, volume="predicted")


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"Na": "K"}, r"has no 'Na'; it has Cs, Cl\."),
        ({"Cs": "Xy"}, "'Xy', in the place of Cs, is no chemical element"),
        ({"Cs": "Cl"}, "No combination .* leaves the 2 elements of the prototype different"),
        (["Cs"], "Could not read 'Cs'"),
        (["Cs=K", "Cl"], "Sr=Ca,Ba or as one CSV file, but 'Cl' came"),
        (["Cs="], "but 'Cs=' came"),
    ],
)
def test_bad_elements_are_refused(prototype, elements, words):
    with pytest.raises(InputError, match=words):
        substituted(prototype, elements)


def test_bad_files_are_refused(prototype, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("Na,Br\nK,Br\n")
    with pytest.raises(InputError, match=r"needs a header with elements .* \(Cs, Cl\)"):
        substituted(prototype, rows)
    rows.write_text("Cs,Cl\n")
    with pytest.raises(InputError, match="there are 0 rows"):
        substituted(prototype, rows)
    rows.write_text("Cs,Cl\nK,Br\n\nK\n")
    with pytest.raises(InputError, match=r"Line 4 of .* has 1 cells where 2 belong"):
        substituted(prototype, rows)
    rows.write_text("Cs,Cs\nK,Na\n")
    with pytest.raises(InputError, match="names an element twice"):
        substituted(prototype, rows)
    rows.write_text("Cs,Cl,Br\nK,Br,F\n")
    with pytest.raises(InputError, match="has no 'Br'"):
        substituted(prototype, rows)
    with pytest.raises(InputError, match=r"'no\.cif' cannot be used: Could not read"):
        substituted("no.cif", {"Cs": "K"})
    (tmp_path / "half.cif").write_text(cif("x", elements=CSCL, edge=4.12, occupancy=0.5))
    with pytest.raises(InputError, match="cannot be used: partial occupancy"):
        substituted(tmp_path / "half.cif", {"Cs": "K"})
    with pytest.raises(InputError, match="Unknown volume 'relaxed'"):
        substituted(prototype, {"Cs": "K"}, volume="relaxed")
