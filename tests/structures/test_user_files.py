"""Files of kinds that users bring: each gives the right value, or a sentence."""

import json
import logging
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.structures.building import base_id
from epitaxy.structures.reading import read_structures, read_table

CASES = Path(__file__).parent / "cases"
SALT = "{0}\n1.0\n0 2.5 2.5\n2.5 0 2.5\n2.5 2.5 0\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
ROCK = 8
"""Atoms of a rock-salt cell."""


def folder(tmp_path, case, names=None):
    """Write a salt for every id of a case's table, beside the table."""
    made = tmp_path / case
    made.mkdir()
    shutil.copy(CASES / f"{case}.csv", made / "id_prop.csv")
    if names is None:
        with (CASES / "tiny-5.csv").open() as file:
            names = [line.split(",")[0] for line in file][1:]
        names += ["KF", "KCl", "KBr", "NaI", "AgF", "TlI", "NaCl", "NaBr"]
    for name in names:
        (made / f"{name}.vasp").write_text(SALT.format(name))
    return made


def structures(case):
    table = read_structures([CASES / case])
    atoms = dict(zip(table.ids, table.n_atoms.tolist(), strict=True))
    reasons = {Path(d.id).name.split(".")[0]: d.reason for d in table.dropped}
    return atoms, reasons, dict(zip(table.ids, table.formulas, strict=True))


def test_symmetry_is_found_by_symbol_number_or_hall_symbol():
    atoms, reasons, _ = structures("no-symmetry")
    known = {"full", "hall", "name", "newname", "number", "typo"}
    assert {k: n for k, n in atoms.items() if n == ROCK} == {f"NaCl-{k}": ROCK for k in known}
    assert {k for k, n in atoms.items() if n == 2} == {"NaCl-none", "NaCl-qmark", "NaCl-unloop"}
    assert "names F m -3 m (192 operations) but lists 1" in reasons["NaCl-wrongsym"]


def test_missing_symmetry_is_said(caplog):
    read_structures([CASES / "no-symmetry" / "NaCl-none.cif"])
    assert "(NaCl-none): no symmetry is given, read as P 1" in caplog.text


def test_formulas_are_checked():
    atoms, reasons, _ = structures("formula-contradicts")
    assert atoms == {"NaCl-sym": 8, "SiO2-3": 9, "ZnO-3": 4}
    assert "Mg O2 under P 1, but the file's formula is H2 Mg O2" in reasons["noH"]
    assert "'OH' is no chemical element" in reasons["FeOH"]


def test_near_duplicates_are_one_site_or_dropped():
    atoms, reasons, _ = structures("low-precision-duplicates")
    assert atoms == {"SiO2": 9, "SiO2-3": 9, "ZnO-3": 4, "ZnO-4": 4, "ZnO-5": 4, "listed-twice": 8}
    assert "0.0325 Å apart" in reasons["ZnO-2"]
    assert "'Na' and 'Na2' are 0.0169 Å apart" in reasons["pseudo"]
    assert "'O' and its image" in reasons["near-mirror"]


def test_formula_joins_what_rounding_separates(tmp_path):
    text = (CASES / "low-precision-duplicates" / "ZnO-2.cif").read_text()
    said = text.replace("data_a", "data_a\n_chemical_formula_sum 'Zn O'\n_cell_formula_units_Z 2")
    (tmp_path / "a.cif").write_text(said)
    assert read_structures([tmp_path / "a.cif"]).n_atoms.tolist() == [4]
    (tmp_path / "b.cif").write_text(said.replace("units_Z 2", "units_Z 3"))
    with pytest.raises(InputError, match="None of 1"):
        read_structures([tmp_path / "b.cif"])


def test_species_are_elements_or_named():
    atoms, reasons, formulas = structures("species")
    assert formulas["LiD"] == formulas["LiT"] == formulas["LiH"] == "HLi"
    iron = {"FeO-ox", "FeO-ox0", "FeO-ox2", "lower", "upper"}
    assert {formulas[k] for k in iron} == {"FeO"}
    assert (formulas["lab-Ca1"], formulas["lab-Cd"], formulas["lab-Co1A"]) == ("CaO", "CdO", "CoO")
    assert set(atoms.values()) == {ROCK}
    named = {"OH": "OH", "dummy-Vac": "Vac", "dummy-X": "X", "wat": "Wat", "lab-CA": "CA",
             "lab-HO": "Ow"}  # fmt: skip
    assert set(reasons) == set(named)
    assert all(repr(word) in reasons[name] for name, word in named.items())


def test_occupancies_near_one_are_full():
    atoms, reasons, _ = structures("occ-0.9999")
    assert atoms == {"NaCl": 8, "KCl": 8, "RbCl": 8}
    assert "site 'Cs1' (0.85)" in reasons["CsF"]
    assert "site 'Li1' (0.98(3))" in reasons["LiF"]


def test_all_blocks_count():
    _, reasons, formulas = structures("multi-block")
    assert formulas == {"first-broken": "BrK", "global-first": "BrK", "text-field": "ClNa",
                        "two-blocks": "ClNa", "two-blocks#2": "BrK"}  # fmt: skip
    assert "block 'bad': unreadable CIF: the cell length a is '?'" in reasons["first-broken"]


def test_magnetic_files_are_read():
    assert structures("mcif")[0] == {"NiO": 8, "NiO2": 8, "ok": 8}


def test_molecules_in_boxes_are_no_crystals(caplog):
    atoms, reasons, _ = structures("xyz")
    assert set(atoms) == {"Z", "big", "ext", "nopbc", "slabTTF"}
    assert "not periodic (pbc F F F)" in reasons["pbcF"]
    assert "(slabTTF): periodic in 2 of 3 directions" in caplog.text
    assert "no periodic lattice" in reasons["mol"]
    assert "'X' is no chemical element" in reasons["X"]
    assert "2 frames" in reasons["twoframes"]


def test_poscars_name_the_line():
    atoms, reasons, formulas = structures("poscars")
    assert set(atoms.values()) == {ROCK}
    assert formulas["q-D"] == "HLi"
    assert {name: reason.split("line ")[1].split(":")[0] for name, reason in reasons.items()} == {
        "c-nonames": "6", "d-nonames-comment": "6", "j-threescale": "2", "o-short": "16",
        "p-long": "16"}  # fmt: skip
    assert len(atoms) == 21


@pytest.mark.parametrize("name", ["all.zip", "all.tar.gz"])
def test_archives_are_read_like_folders(name):
    table = read_table(CASES / "archives" / name)
    assert (len(table), table.values["gap"][0]) == (32, 8.8)
    assert len(read_structures([CASES / "archives" / name])) == 32


@pytest.mark.parametrize("name", ["one.cif.bz2", "one.cif.zip"])
def test_packed_structures_are_read(name):
    assert read_structures([CASES / "archives" / name]).n_atoms.tolist() == [ROCK]
    with pytest.raises(InputError, match="is a single structure"):
        read_table(CASES / "archives" / name)


def test_archives_do_not_lead_outside(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../evil.cif", "x")
        archive.writestr("b.cif", "x")
    with pytest.raises(InputError, match="leads outside"):
        read_table(tmp_path / "bad.zip")
    assert not (tmp_path.parent / "evil.cif").exists()


def test_bombs_are_refused(tmp_path):
    import gzip

    (tmp_path / "a.cif.gz").write_bytes(gzip.compress(b"0" * (1 << 26)))
    with pytest.raises(InputError, match="more than 200 times its size"):
        read_structures([tmp_path / "a.cif.gz"])


def test_named_id_column_wins_over_a_pandas_index(tmp_path):
    made = folder(tmp_path, "pandas-index-column", [str(i) for i in range(32)])
    table = read_table(made)
    assert list(table.ids[:3]) == ["3", "7", "29"]
    assert (list(table.values), table.values["gap"][0]) == (["gap"], 6.52)
    lines = (made / "id_prop.csv").read_text().replace(",material_id,", "one,two,")
    (made / "id_prop.csv").write_text(lines)
    with pytest.raises(InputError, match="'one' and 'two' can both name the structures"):
        read_table(made)


@pytest.mark.parametrize(
    ("case", "name", "first", "unit"),
    [
        ("thousands-int", "bulk", 8800, ""),
        ("header-units", "gap", 8.8, "eV"),
        ("utf16-csv", "gap", 8.8, ""),
        ("sep-line", "gap", 8.8, ""),
        ("two-line-header", "gap", 8.8, "eV"),
        ("links-mac", "gap", 8.8, ""),
    ],
)
def test_tables_give_numbers_and_units(tmp_path, case, name, first, unit):
    table = read_table(folder(tmp_path, case), target=name)
    assert table.values[name][list(table.ids).index("LiF")] == first
    assert table.properties[name].unit == unit


def test_mixed_thousands_are_refused_with_the_cells(tmp_path):
    made = folder(tmp_path, "thousands-int")
    text = (made / "id_prop.csv").read_text().replace('"7,600"', "7600")
    (made / "id_prop.csv").write_text(text)
    with pytest.raises(InputError, match="'8,800' beside '7600'"):
        read_table(made, target="bulk")


def test_truth_is_a_class(tmp_path):
    made = folder(tmp_path, "boolean-target")
    assert read_table(made).properties["is_metal"].classes == ("False", "True")
    with pytest.raises(InputError, match=r"is a class \(False, True\).*regression"):
        read_table(made, target="is_metal")


def test_constant_targets_are_said(tmp_path, caplog):
    read_table(folder(tmp_path, "constant-target"), target="gap")
    assert "'gap' is 1.5 in all" in caplog.text


def test_words_for_missing_are_told_from_cells_that_are_no_numbers(tmp_path, caplog):
    rows = (CASES / "missing-words.csv").read_text().splitlines()[1:]
    made = folder(tmp_path, "missing-words", [row.split(",")[0] for row in rows])
    with caplog.at_level(logging.INFO, logger="epitaxy"):
        table = read_table(made)
    assert "15 of 32 values missing" in caplog.text
    assert "1 of 32 cells are no number ('x'); 3 of 32 are infinite" in caplog.text
    assert np.isfinite(table.values["gap"]).sum() == 13


def test_subfolders_count(tmp_path):
    made = folder(tmp_path, "mixed-depth", ["LiF", "LiCl"])
    (made / "more").mkdir()
    (made / "more" / "NaF.vasp").write_text(SALT.format("NaF"))
    assert sorted(read_table(made).ids) == ["LiCl", "LiF", "NaF"]


def test_companions_are_skipped_and_broken_links_listed(tmp_path):
    made = folder(tmp_path, "links-mac")
    for name in ("._LiF.vasp", "._id_prop.csv", "~$LiF.vasp", ".hidden.cif"):
        (made / name).write_text("no")
    (made / "link.vasp").symlink_to("nowhere.vasp")
    dropped = {d.id: d.reason for d in read_table(made).dropped}
    assert "a link to 'nowhere.vasp', which does not exist" in dropped["link.vasp"]
    assert not [name for name in dropped if name.startswith((".", "~"))]


def test_decomposed_file_names_are_matched(tmp_path):
    names = [unicodedata.normalize("NFD", f"ü{i}") for i in range(5)]
    assert len(read_table(folder(tmp_path, "ids-nfd", names))) == 5


def test_spreadsheets_are_refused_with_the_remedy():
    with pytest.raises(InputError, match="save the sheet as CSV"):
        read_table(CASES / "table.xlsx")


@pytest.mark.parametrize(
    ("name", "n", "column", "first"),
    [
        ("many-orient-index/df_index", 32, "gap", 8.8),
        ("many-orient-index/df_columns", 32, "gap", 8.8),
        ("optimade/optimade", 4, "_exmpl_gap", 1.0),
        ("optimade/optimade_list", 4, "_exmpl_gap", 1.0),
        ("pymatgen-json/atoms_key", 4, "gap", 8.8),
        ("pymatgen-json/idrec", 4, "gap", 8.8),
        ("pymatgen-json/mpdoc", 4, "band_gap", 8.8),
        ("pymatgen-json/records", 4, "band_gap", 8.8),
        ("pymatgen-json/nested", 4, "gap", 8.8),
        ("pymatgen-json/iddict", 4, None, None),
        ("pymatgen-json/strings", 4, "gap", 8.8),
    ],
)
def test_layouts_of_json_are_read(name, n, column, first):
    table = read_table(CASES / f"{name}.json")
    assert list(table.ids[:2]) == ["LiF", "LiCl"]
    assert len(table) == n
    assert column is None or table.values[column][0] == first


def test_snapshots_are_numbered_and_belong_together(tmp_path):
    table = read_table(CASES / "snapshots.json")
    assert list(table.ids) == ["salt-1", "salt-1#2", "salt-1#3", "salt-2"]
    assert [base_id(i) for i in table.ids] == ["salt-1"] * 3 + ["salt-2"]
    records = json.loads((CASES / "snapshots.json").read_text())
    records.append(records[0] | {"energy_per_atom": 1.0})
    (tmp_path / "x.json").write_text(json.dumps(records))
    with pytest.raises(InputError, match="same structure but 'energy_per_atom' is"):
        read_table(tmp_path / "x.json")
