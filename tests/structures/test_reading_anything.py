"""What the user names is recognised; targets, units and structures for prediction."""

import logging

import numpy as np
import pytest
from ase.io import write as ase_write
from typer.testing import CliRunner

from epitaxy.cli.data import app
from epitaxy.core.errors import InputError
from epitaxy.structures.info import data_info
from epitaxy.structures.reading import convert, read_structures, read_table, recognise


def test_table_is_returned_as_it_is(table):
    again = read_table(table)
    assert again.hash == table.hash
    assert list(again.values) == ["gap"]


def test_unknown_places_are_refused(tmp_path, table):
    table.to_parquet(tmp_path / "phonons.parquet")
    with pytest.raises(InputError, match=r"There is no file .* Did you mean 'phonons.parquet'"):
        read_table(tmp_path / "phonon.parquet")
    with pytest.raises(InputError, match="Did you mean 'matminer'"):
        read_table("matmner:x")
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(InputError, match=r"not known by its ending '.docx'; allowed: .parquet"):
        read_table(tmp_path / "a.docx")
    (tmp_path / "a.cif").write_text("x")
    with pytest.raises(InputError, match="is a single structure"):
        read_table(tmp_path / "a.cif")


def test_source_can_be_named(cif_folder):
    assert recognise(f"folder:{cif_folder}") == ("folder", str(cif_folder))


def test_targets_are_chosen_and_checked(tmp_path, table):
    table = table.with_property(
        table.properties["gap"].model_copy(update={"name": "b"}), [np.nan] * 8
    )
    table.to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").values) == ["gap", "b"]
    assert list(read_table(tmp_path / "t.parquet", target="gap").values) == ["gap"]
    assert list(read_table(tmp_path / "t.parquet", target=["gap"]).properties) == ["gap"]
    with pytest.raises(InputError, match=r"no property 'gpa'; it has: gap, b. Did you mean 'gap'"):
        read_table(tmp_path / "t.parquet", target="gpa")
    with pytest.raises(InputError, match="'b' has no usable value in any of 8 rows"):
        read_table(tmp_path / "t.parquet", target=["gap", "b"])


def test_nameless_column_takes_the_name_asked_for(cif_folder):
    (cif_folder / "id_prop.csv").write_text("c0,1\nc1,2\n")
    assert list(read_table(cif_folder).values) == ["target"]
    table = read_table(cif_folder, target="gap", units={"gap": "eV"}, labels={"gap": "Band gap"})
    assert table.properties["gap"].axis == "Band gap (eV)"
    assert list(read_table(cif_folder, target="target").values) == ["target"]
    (cif_folder / "id_prop.csv").write_text("id,density\nc0,1\nc1,2\n")
    with pytest.raises(InputError, match="no property 'gap'; it has: density"):
        read_table(cif_folder, target="gap")


def test_units_need_their_property(table):
    with pytest.raises(InputError, match=r"A unit was given for 'gpa', but .* Did you mean 'gap'"):
        read_table(table, units={"gpa": "eV"})


# --- structures for prediction -------------------------------------------------------------------


def test_files_folders_and_tables_together(tmp_path, cif_folder, table, caplog):
    (cif_folder / "bad.cif").write_text("data_x")
    table.select([2]).to_parquet(tmp_path / "t.parquet")
    single = cif_folder / "c0.cif"
    (tmp_path / "single.cif").write_text(single.read_text())
    with caplog.at_level(logging.INFO, logger="epitaxy"):
        found = read_structures([tmp_path / "single.cif", cif_folder, tmp_path / "t.parquet"])
    assert {"single", "c0", "c1", str(cif_folder / "c2.cif")} <= set(found.ids)
    assert f"{tmp_path / 't.parquet'}:c2" in set(found.ids)
    assert len(found) == 10
    assert "unreadable CIF" in found.dropped[0].reason
    assert "10 structures read, 1 dropped" in caplog.text


def test_frames_and_single_structures(tmp_path, crystals):
    frames = [s.to_ase_atoms() for s in crystals.values()]
    ase_write(tmp_path / "many.xyz", frames, format="extxyz")
    ase_write(tmp_path / "one.xyz", frames[:1], format="extxyz")
    crystals["c0"].to(str(tmp_path / "s.json"))
    found = read_structures([tmp_path / "many.xyz", tmp_path / "one.xyz", tmp_path / "s.json"])
    assert list(found.ids) == [*(f"many-{i}" for i in range(8)), "one", "s"]
    again = read_structures([tmp_path])
    assert list(again.ids) == ["one"]
    assert "holds 8 frames" in again.dropped[0].reason


def test_nothing_usable_is_refused(tmp_path):
    with pytest.raises(InputError, match="No structures were given"):
        read_structures([])
    (tmp_path / "bad.cif").write_text("")
    with pytest.raises(InputError, match=r"None of 2 crystals .*none.cif': There is no file"):
        read_structures([tmp_path / "bad.cif", tmp_path / "none.cif"])


# --- info and convert ----------------------------------------------------------------------------


def test_info_counts(cif_folder):
    (cif_folder / "c0.cif").write_text("")
    (cif_folder / "id_prop.csv").write_text(
        "id,gap\n" + "".join(f"c{i},{i or 'na'}\n" for i in range(8)) + "lost,na\n"
    )
    info = data_info(cif_folder)
    assert info.n_rows == 7
    assert info.atoms_per_cell == (2, 2.0, 2)
    assert (info.n_formulas, info.n_sharing_formula) == (7, 0)
    gap = info.properties[0]
    assert (gap.n, gap.missing, gap.minimum, gap.mean, gap.maximum) == (7, 0, 1, 4, 7)
    assert "c0: the file is empty" in info.text()


def test_info_shortens_long_lists(many):
    from epitaxy.structures.table import Dropped

    text = data_info(many.with_dropped(Dropped(str(i), "bad") for i in range(13))).text()
    assert "... and 3 more" in text
    assert text.count(": bad") == 10
    assert "missing 5" in text


def test_convert_refuses_other_endings(table, tmp_path):
    with pytest.raises(InputError, match=r"'.*x.csv' must end in .parquet"):
        convert(table, tmp_path / "x.csv")


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_commands_end_to_end(cif_folder, tmp_path):
    (cif_folder / "id_prop.csv").write_text("".join(f"c{i},{i}\n" for i in range(8)))
    out = tmp_path / "t.parquet"
    said = run("convert", cif_folder, out, "--target", "gap", "--unit", "gap=eV",
               "--label", "gap=Band gap")  # fmt: skip
    assert "8 crystals written" in said
    assert read_table(out).properties["gap"].axis == "Band gap (eV)"
    assert "n 8, missing 0, min 0, mean 3.5, max 7 eV" in run("info", out)
    assert "0 conflicting" in run("merge", out, out, "--out", tmp_path / "m.parquet")
    assert "6/1/1" in run("split", out, "--out", tmp_path / "s.json", "--seed", "3")
    said = run("split", out, "--out", tmp_path / "f.json", "--method", "kfold", "--k", "2")
    assert "3/1/4; 3/1/4" in said


def test_commands_explain_bad_options(table, tmp_path):
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="--unit 'eV' must be NAME=TEXT"):
        run("convert", tmp_path / "t.parquet", tmp_path / "o.parquet", "--unit", "eV")
    with pytest.raises(InputError, match="--fractions 'x' must be numbers"):
        run("split", tmp_path / "t.parquet", "--out", tmp_path / "s.json", "--fractions", "x")


@pytest.mark.shared
def test_shared_tables_are_read_whole(shared):
    expected = {"devi2024/bg": 9395, "devi2024/gv": 6683, "chang2022/mp_phonons": 1265}
    for name, rows in expected.items():
        table = read_table(shared / "datasets" / f"{name}.parquet", target="target")
        assert (len(table), len(table.dropped)) == (rows, 0)
        assert "row" not in table.values
