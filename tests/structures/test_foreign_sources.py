"""Folders, ASE files, JARVIS and matminer: what they read, and what they say when they cannot."""

import gzip
import json
import sys
import types
import zipfile

import ase.db
import numpy as np
import pandas as pd
import pytest
from ase.io import write as ase_write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.structures.reading import read_source, read_table
from epitaxy.structures.table import Dropped

# --- Folders -------------------------------------------------------------------------------------


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    delimiter=st.sampled_from([",", "\t", ";", " "]),
    header=st.booleans(),
    endings=st.booleans(),
    order=st.permutations(range(8)),
    n=st.integers(2, 8),
)
def test_folder_with_any_csv(*, cif_folder, delimiter, header, endings, order, n):
    rows = [[f"c{i}{'.cif' * endings}", str(i / 2)] for i in order[:n]]
    lines = [["name", "gap"]] * header + rows + [["lost", "1.0"]]
    (cif_folder / "id_prop.csv").write_text("\n".join(delimiter.join(line) for line in lines))
    (cif_folder / "atom_init.json").write_text("{}")
    table = read_table(cif_folder, target="gap")
    assert list(table.ids) == [f"c{i}" for i in order[:n]]
    assert table.values["gap"].tolist() == [i / 2 for i in order[:n]]
    assert Dropped("lost", "no structure file for this row of id_prop.csv") in table.dropped
    without_row = {d.id for d in table.dropped if d.reason == "no row in id_prop.csv"}
    assert without_row == {f"c{i}" for i in order[n:]}


def test_folder_says_what_was_understood(cif_folder, caplog):
    (cif_folder / "id_prop.csv").write_text("c0;1\nc1;2\nzz;3\n")
    with caplog.at_level("INFO", logger="epitaxy"):
        read_table(cif_folder)
    assert (
        "3 rows, semicolon-separated, without a header, ids in 'id'; 2 rows matched, "
        "1 rows without a file (first 'zz'), 6 files without a row (first 'c2.cif')"
    ) in caplog.text


def test_alignn_folder_of_poscars_with_several_targets(tmp_path, crystals):
    for name in ("c0", "c1"):
        crystals[name].to(str(tmp_path / f"POSCAR-{name}.vasp"), fmt="poscar")
    (tmp_path / "id_prop.csv").write_text("POSCAR-c0.vasp,1,na\nPOSCAR-c1.vasp,2,5\n")
    table = read_table(tmp_path)
    assert list(table.ids) == ["POSCAR-c0", "POSCAR-c1"]
    assert set(table.values) == {"target_1", "target_2"}


def test_subfolders_named_by_id(tmp_path, crystals):
    for name in ("c0", "c1"):
        (tmp_path / name).mkdir()
        crystals[name].to(str(tmp_path / name / "POSCAR"), fmt="poscar")
    (tmp_path / "values.csv").write_text("material,gap\nc0,1\nc1,2\n")
    assert list(read_table(tmp_path).ids) == ["c0", "c1"]


def test_broken_file_is_dropped_and_the_others_stay(cif_folder):
    (cif_folder / "c0.cif").write_text("")
    (cif_folder / "id_prop.csv").write_text("".join(f"c{i},{i}\n" for i in range(8)))
    table = read_table(cif_folder)
    assert len(table) == 7
    assert table.dropped == (Dropped("c0", "the file is empty"),)
    assert table.row_numbers.tolist() == list(range(1, 8))


def test_bad_folders_are_refused(tmp_path, cif_folder, crystals):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no structure files"):
        read_table(tmp_path / "empty")
    with pytest.raises(InputError, match=r"must hold one table .* \(found: none\)"):
        read_table(cif_folder)
    (cif_folder / "a.csv").write_text("c0,1\n")
    (cif_folder / "b.csv").write_text("c0,1\n")
    with pytest.raises(InputError, match=r"found: a.csv, b.csv"):
        read_table(cif_folder)
    (cif_folder / "id_prop.csv").write_text("x,1\ny,2\n")
    with pytest.raises(InputError, match=r"No row of id_prop.csv belongs to one of 8"):
        read_table(cif_folder)
    (cif_folder / "id_prop.csv").write_text("c0,1\nc0,2\n")
    with pytest.raises(
        InputError, match=r"'c0' .* twice with the same structure but 'target' is 1 and 2"
    ):
        read_table(cif_folder)
    crystals["c0"].to(str(cif_folder / "c0.vasp"), fmt="poscar")
    with pytest.raises(InputError, match=r"fits several files: c0.cif, c0.vasp"):
        read_table(cif_folder)
    for i in range(8):
        (cif_folder / f"c{i}.cif").write_text("data_x")
    (cif_folder / "id_prop.csv").write_text("c1,1\nc2,2\n")
    with pytest.raises(InputError, match=r"None of 9 crystals .* 'c1': unreadable CIF"):
        read_table(cif_folder)


# --- ASE -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["db", "json"])
def test_ase_database(tmp_path, crystals, ending):
    path = tmp_path / f"x.{ending}"
    with ase.db.connect(path) as database:
        for i, (name, structure) in enumerate(crystals.items()):
            atoms = structure.to_ase_atoms()
            database.write(atoms, material_id=name, gap=i / 2, data={"bulk": 3.0, "vector": [1, 2]})
    table = read_table(path)
    assert list(table.ids) == list(crystals)
    assert table.values["gap"].tolist() == [i / 2 for i in range(8)]
    assert set(table.values) == {"gap", "bulk"}


def test_damaged_ase_database(tmp_path):
    (tmp_path / "x.db").write_bytes(b"SQLite format 3 and nothing else")
    with pytest.raises(InputError, match="as an ASE database"):
        read_table(tmp_path / "x.db")


def test_extended_xyz_of_many_frames(tmp_path, crystals):
    frames = [s.to_ase_atoms() for s in crystals.values()]
    for i, atoms in enumerate(frames):
        atoms.info["gap"] = i / 2
    frames[1].info.pop("gap")
    frames[2].cell = np.zeros((3, 3))
    frames[2].pbc = False
    ase_write(tmp_path / "x.xyz", frames, format="extxyz")
    table = read_table(tmp_path / "x.xyz")
    assert list(table.ids) == [f"x-{i}" for i in (0, 1, 3, 4, 5, 6, 7)]
    assert np.isnan(table.values["gap"][1])
    assert table.values["gap"][2] == 1.5
    assert "no periodic lattice" in table.dropped[0].reason


def test_damaged_frame_ends_the_file_with_a_reason(tmp_path, crystals):
    path = tmp_path / "x.extxyz"
    ase_write(path, [s.to_ase_atoms() for s in crystals.values()], format="extxyz")
    path.write_text(path.read_text() + "2\nLattice=broken\nNa 0 0\n")
    table = read_table(path)
    assert len(table) == 8
    assert "unreadable XYZ frame" in table.dropped[0].reason


# --- JARVIS and matminer -------------------------------------------------------------------------


def jarvis_records(crystals):
    return [
        {
            "jid": f"JVASP-{i}",
            "gap": "na" if i == 1 else i,
            "spillage": "na",
            "formula": s.formula,
            "efg": [[1.0]],
            "atoms": {
                "lattice_mat": s.lattice.matrix.tolist(),
                "coords": s.frac_coords.tolist(),
                "elements": [str(e.symbol) + " " * (i % 2) for e in s.species],
                "cartesian": False,
                "props": ["", ""],
            },
        }
        for i, s in enumerate(crystals.values())
    ]


def test_jarvis_json_plain_and_packed(tmp_path, crystals):
    text = json.dumps(jarvis_records(crystals))
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "a.json.zip", "w") as archive:
        archive.writestr("a.json", text)
    for path in sorted(tmp_path.iterdir()):
        reading = read_source(str(path))
        assert list(reading.table.ids) == [f"JVASP-{i}" for i in range(8)]
        assert reading.table.values["gap"][2] == 2
        assert np.isnan(reading.table.values["gap"][1])
        assert np.isnan(reading.table.values["spillage"]).all()
        assert "formula" in reading.refused
    with pytest.raises(InputError, match="'spillage' has no usable value in any of 8 rows"):
        read_table(tmp_path / "a.json", target="spillage")
    with pytest.raises(InputError, match="'formula' holds text such as 'Cs1 Cl1'"):
        read_table(tmp_path / "a.json", target="formula")


def test_bad_jarvis_records(tmp_path, crystals):
    records = jarvis_records(crystals)
    records[0]["atoms"] = None
    records[1]["atoms"]["elements"] = ["Qq", "Cl"]
    (tmp_path / "a.json").write_text(json.dumps(records))
    dropped = read_table(tmp_path / "a.json").dropped
    assert [d.reason for d in dropped] == [
        "the record has no 'atoms'",
        "the species 'Qq' is no chemical element",
    ]
    (tmp_path / "b.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="list of records"):
        read_table("jarvis_json:" + str(tmp_path / "b.json"))
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match="no valid JSON"):
        read_table("jarvis_json:" + str(tmp_path / "b.json"))


def matminer_file(path, crystals):
    """Write a file as matminer stores its data sets: gzipped JSON of a split data frame."""
    data = {
        "columns": ["structure", "last phdos peak"],
        "index": list(range(len(crystals))),
        "data": [[s.as_dict(), 100.0 + i] for i, s in enumerate(crystals.values())],
    }
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    return path


def frame_of(path):
    from pymatgen.core import Structure

    data = json.loads(gzip.decompress(path.read_bytes()))
    rows = [[Structure.from_dict(s), v] for s, v in data["data"]]
    return pd.DataFrame(rows, columns=data["columns"], index=data["index"])


def test_file_of_matminer_is_a_table(tmp_path, crystals):
    table = read_table(matminer_file(tmp_path / "matbench_phonons.json.gz", crystals))
    assert len(table) == 8
    assert table.values["last phdos peak"][1] == 101


def test_matminer_by_name_is_converted_once(tmp_path, crystals, monkeypatch):
    path = matminer_file(tmp_path / "x.json.gz", crystals)
    calls = []

    def load_dataset(name, data_home):
        calls.append(name)
        return frame_of(path)

    fake = types.ModuleType("matminer.datasets")
    fake.load_dataset = load_dataset
    fake.get_available_datasets = lambda print_format: ["matbench_phonons"]
    monkeypatch.setitem(sys.modules, "matminer", types.ModuleType("matminer"))
    monkeypatch.setitem(sys.modules, "matminer.datasets", fake)
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))
    first = read_table("matminer:matbench_phonons")
    again = read_table("matminer:matbench_phonons")
    assert calls == ["matbench_phonons"]
    assert first.hash == again.hash
    assert again.properties["last phdos peak"].unit == "cm^-1"
    assert again.properties["last phdos peak"].source == "matminer:matbench_phonons"
    with pytest.raises(InputError, match="Did you mean 'matbench_phonons'"):
        read_table("matminer:matbench_phonon")


def test_jarvis_by_name(tmp_path, crystals, monkeypatch):
    fake = types.ModuleType("jarvis.db.figshare")
    fake.data = lambda dataset, store_dir: jarvis_records(crystals)
    fake.get_db_info = lambda: {"dft_2d": []}
    for name in ("jarvis", "jarvis.db"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "jarvis.db.figshare", fake)
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))
    assert len(read_table("jarvis:dft_2d", target="gap")) == 8
    assert list((tmp_path / "cache" / "tables").iterdir())
    with pytest.raises(InputError, match="Unknown JARVIS data set 'dft_9d'"):
        read_table("jarvis:dft_9d")


@pytest.mark.parametrize(("name", "package"), [("matminer", "matminer"), ("jarvis", "jarvis")])
def test_missing_package_is_named_with_its_command(tmp_path, monkeypatch, name, package):
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path))
    for module in ("matminer", "matminer.datasets", "jarvis", "jarvis.db", "jarvis.db.figshare"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"pip install 'epitaxy\[{package}\]'"):
        read_table(f"{name}:x")


def test_matminers_own_loader_reads_the_file(tmp_path, crystals):
    loader = pytest.importorskip("matminer.utils.io", reason="matminer is not installed")
    from epitaxy.structures.sources.matminer_source import from_frame

    path = matminer_file(tmp_path / "x.json.gz", crystals)
    assert len(from_frame(loader.load_dataframe_from_json(str(path)), "x").table) == 8


def test_jarvis_own_loader_reads_the_file(tmp_path, crystals, monkeypatch):
    figshare = pytest.importorskip("jarvis.db.figshare", reason="jarvis-tools is not installed")
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path))
    member = figshare.get_db_info()["dft_2d"][1]
    (tmp_path / "jarvis").mkdir()
    with zipfile.ZipFile(tmp_path / "jarvis" / f"{member}.zip", "w") as archive:
        archive.writestr(member, json.dumps(jarvis_records(crystals)))
    assert len(read_table("jarvis:dft_2d")) == 8
