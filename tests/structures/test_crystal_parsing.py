"""One crystal from one text or file, and the reasons when that fails."""

import gzip

import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Poscar

from epitaxy.core.errors import InputError
from epitaxy.structures.building import UnusableError
from epitaxy.structures.file_batches import parse_files
from epitaxy.structures.parsing import (
    crystal_from_ase,
    crystal_from_file,
    crystal_from_jarvis,
    crystal_from_object,
    crystal_from_pymatgen,
    crystal_from_text,
    read_text,
)


def same(crystal, structure):
    assert crystal.lattice == pytest.approx(structure.lattice.matrix, abs=1e-6)
    assert crystal.atomic_numbers.tolist() == list(structure.atomic_numbers)
    assert crystal.frac_coords == pytest.approx(structure.frac_coords, abs=1e-6)


def test_all_text_formats_give_the_same_crystal(crystals):
    salt = crystals["c1"]
    same(crystal_from_text(salt.to(fmt="cif")), salt)
    same(crystal_from_text(Poscar(salt).get_str()), salt)
    same(crystal_from_text(salt.to(fmt="json")), salt)
    same(crystal_from_object(salt.as_dict()), salt)
    same(crystal_from_object(salt), salt)
    same(crystal_from_object(salt.to_ase_atoms()), salt)


def test_oxidation_states_are_stripped(crystals):
    salt = crystals["c1"].copy()
    salt.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    same(crystal_from_text(salt.to(fmt="json")), crystals["c1"])


def test_jarvis_atoms_cartesian_and_fractional():
    lattice = np.array([[4.0, 0.1, 0], [0, 5.0, 0.3], [0.2, 0, 6.0]])
    frac = np.array([[0.1, 0.2, 0.3], [0.6, 0.7, 0.9]])
    atoms = {"lattice_mat": lattice, "coords": frac, "elements": ["Si", "C"], "cartesian": False}
    cartesian = {**atoms, "coords": frac @ lattice, "cartesian": True}
    assert crystal_from_jarvis(cartesian).frac_coords == pytest.approx(frac)
    assert crystal_from_jarvis(atoms).frac_coords == pytest.approx(frac)


def test_jarvis_faults_have_reasons():
    good = {"lattice_mat": np.eye(3), "coords": [[0, 0, 0]], "elements": ["Si"]}
    for change, reason in (
        ({"elements": ["Qq"]}, "'Qq' is no chemical element"),
        ({"elements": ["Si", "C"]}, "do not belong together"),
        ({"lattice_mat": np.zeros((3, 3)), "cartesian": True}, "singular"),
    ):
        with pytest.raises(UnusableError, match=reason):
            crystal_from_jarvis(good | change)
    with pytest.raises(UnusableError, match="lack 'coords'"):
        crystal_from_jarvis({"lattice_mat": np.eye(3), "elements": ["Si"]})


def test_partial_occupancy_is_refused_with_its_site(crystals):
    text = crystals["c0"].to(fmt="cif").replace("  1\n", " 0.5\n")
    with pytest.raises(UnusableError, match=r"partial occupancy on site .*: give an ordered cell"):
        crystal_from_text(text)


def test_site_without_an_element_is_refused():
    dummy = Structure(Lattice.cubic(3), ["Xx"], [[0, 0, 0]])
    with pytest.raises(UnusableError, match="no chemical element"):
        crystal_from_pymatgen(dummy)


def test_poscar_without_element_names_is_refused(crystals):
    lines = Poscar(crystals["c0"]).get_str().splitlines()
    anonymous = ["comment", *lines[1:5], *lines[6:8], "0 0 0", "0.5 0.5 0.5"]
    with pytest.raises(UnusableError, match="line 6: the elements are not named"):
        crystal_from_text("\n".join(anonymous))


def test_molecule_has_no_lattice():
    with pytest.raises(UnusableError, match="no periodic lattice"):
        crystal_from_ase(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]]))


@pytest.mark.parametrize("text", ["", "data_x\n_cell_length_a ?\n", "data_\nloop_\n", "hello\nyou"])
def test_broken_texts_have_a_reason(text, tmp_path):
    path = tmp_path / "bad.cif"
    path.write_text(text)
    with pytest.raises(UnusableError, match=r"empty|unreadable CIF"):
        crystal_from_file(path)


def test_other_broken_files_have_a_reason(tmp_path):
    (tmp_path / "a.cif").write_bytes(b"\0\1\2")
    (tmp_path / "b.cif.gz").write_bytes(b"no gzip")
    (tmp_path / "c.vasp").write_text("junk")
    (tmp_path / "d.xyz").write_text("2\n\nH 0 0 0\nH 0 0 1\n")
    frame = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nH 0 0 0\n'
    (tmp_path / "e.xyz").write_text(frame * 2)
    reasons = ["binary file", "Could not read", "unreadable POSCAR", "no periodic", "2 frames"]
    for name, reason in zip(sorted(tmp_path.iterdir()), reasons, strict=True):
        with pytest.raises(UnusableError, match=reason):
            crystal_from_file(name)
    with pytest.raises(UnusableError, match="Could not read"):
        crystal_from_file(tmp_path / "none.cif")
    with pytest.raises(UnusableError, match="type int is no structure"):
        crystal_from_object(3)
    with pytest.raises(UnusableError, match="neither 'sites'"):
        crystal_from_object({"a": 1})


def test_packed_and_latin1_files_are_read(tmp_path, crystals):
    text = "# Müller\n" + crystals["c0"].to(fmt="cif")
    (tmp_path / "a.cif.gz").write_bytes(gzip.compress(text.encode("latin-1")))
    same(crystal_from_file(tmp_path / "a.cif.gz"), crystals["c0"])


def test_archive_of_several_files_is_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("b", "2")
    with pytest.raises(InputError, match="holds 2 files; unpack"):
        read_text(tmp_path / "x.zip")


def test_worker_processes_give_what_one_process_gives(cif_folder):
    (cif_folder / "broken.cif").write_text("data_x\n")
    files = sorted(cif_folder.iterdir())
    alone, together = parse_files(files, workers=1), parse_files(files, workers=2)
    assert [str(a) for a in alone] == [str(b) for b in together]
    assert sum(isinstance(c, UnusableError) for c in together) == 1
