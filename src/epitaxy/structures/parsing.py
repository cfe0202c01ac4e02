"""One crystal from a file, a text, a dictionary or an object of another library."""

from __future__ import annotations

import codecs
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.structures.archives import (
    PACKED,
    STRUCTURE_SUFFIXES,
    is_archive,
    is_companion,
    read_bytes,
)
from epitaxy.structures.building import Crystal, UnusableError
from epitaxy.structures.cif import crystals_from_cif
from epitaxy.structures.json_text import parse_json
from epitaxy.structures.occupancy import check_occupancy
from epitaxy.structures.optimade import crystal_from_optimade, is_optimade
from epitaxy.structures.poscar import crystal_from_poscar, floats
from epitaxy.structures.species import element_of
from epitaxy.structures.xyz import atoms_of_frame, frame_texts

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""How texts of these encodings begin; the longer ones first."""
_POSCAR_NAME = re.compile(r"(?i)(poscar|contcar)(?![a-z]).*")


def is_structure_file(path: Path) -> bool:
    """Tell by its name whether a file holds one crystal.

    >>> [is_structure_file(Path(n)) for n in ("a.cif", "POSCAR_mp-1", "b.CIF.gz", "id_prop.csv")]
    [True, True, True, False]
    """
    name = unpacked_name(path.name).lower()
    known = name.endswith(STRUCTURE_SUFFIXES) or bool(_POSCAR_NAME.fullmatch(name))
    return known and not is_companion(name) and not is_archive(path)


def unpacked_name(name: str) -> str:
    """Return a file name without the ending of a packed file.

    >>> unpacked_name("one.cif.bz2")
    'one.cif'
    """
    packed = name.lower().endswith(PACKED)
    return name.rpartition(".")[0] if packed else name


def without_suffix(name: str) -> str:
    """Return a file name or id without the ending of a structure file.

    >>> without_suffix("JVASP-1.vasp"), without_suffix("mp-1.5"), without_suffix("x.cif.gz")
    ('JVASP-1', 'mp-1.5', 'x')
    """
    bare = unpacked_name(name)
    for ending in STRUCTURE_SUFFIXES:
        if bare.lower().endswith(ending) and len(bare) > len(ending):
            return bare[: -len(ending)]
    return name


def read_text(path: str | Path) -> str:
    """Return the text of a plain, .gz, .bz2, .xz or .zip file (a zip must hold one file).

    Raises:
        InputError: the file cannot be read, is no text, is damaged, or unpacks to too much.
    """
    data = read_bytes(Path(path))
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    head = data[:4096]
    zeros = head.count(b"\0")
    if zeros:
        if zeros * 5 < len(head) * 2:
            raise InputError(f"{str(path)!r} is a binary file, not text; give a text table or CIF.")
        # UTF-16 without a mark: every other byte of Latin letters is zero
        return data.decode("utf-16-le" if head[1:2] == b"\0" else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # old CIFs carry author names in Latin-1; every byte is valid there
        return data.decode("latin-1")


class Part(NamedTuple):
    """One structure of a file."""

    name: str
    """How the file calls it, empty where it has no name for it."""
    crystal: Crystal | UnusableError


def parts_of_file(path: str | Path) -> list[Part]:
    """Read all structures of a CIF, POSCAR, XYZ or pymatgen JSON file; failures are parts, too."""
    try:
        text = read_text(path)
        name = unpacked_name(Path(path).name).lower()
        if not text.strip():
            raise UnusableError("the file is empty")  # noqa: TRY301
        if name.endswith((".cif", ".mcif")):
            return [Part(*part) for part in crystals_from_cif(text)]
        if name.endswith((".xyz", ".extxyz")):
            return [Part("", _parse(text, "XYZ", _from_xyz))]
        if name.endswith((".vasp", ".poscar")) or _POSCAR_NAME.fullmatch(name):
            return [Part("", crystal_from_poscar(text))]
        return [Part("", crystal_from_text(text))]
    except InputError as error:
        return [Part("", UnusableError(str(error).rstrip(".")))]
    except UnusableError as error:
        return [Part("", error)]


def crystal_from_file(path: str | Path) -> Crystal:
    """Read the first crystal of a CIF, POSCAR, XYZ or pymatgen JSON file.

    Raises:
        UnusableError: with the reason for the table of dropped entries.
    """
    return first_usable(parts_of_file(path))


def first_usable(parts: Sequence[Part]) -> Crystal:
    """Return the first crystal that can be used, with a note where there are others.

    Raises:
        UnusableError: there is none.
    """
    good = [part.crystal for part in parts if isinstance(part.crystal, Crystal)]
    if not good:
        assert isinstance(parts[0].crystal, UnusableError)
        raise parts[0].crystal
    if len(good) == 1:
        return good[0]
    note = f"the first of {len(good)} structures of one file was read"
    return good[0]._replace(note=f"{good[0].note}; {note}".lstrip("; "))


def text_kind(text: str) -> str | None:
    r"""Tell what kind of structure a text holds: cif, poscar, json, xyz, or None.

    >>> text_kind("data_x\n_cell_length_a 4.1"), text_kind("mp-1.cif")
    ('cif', None)
    """
    head = text.lstrip()[:100_000]
    if head.startswith("{"):
        return "json"
    if "\n" not in head:
        return None
    if "_cell_length_a" in head.lower() or head.lower().startswith("data_"):
        return "cif"
    lines = text.splitlines()[:6]
    if len(lines) > 4 and all(floats(line, 3) is not None for line in lines[2:5]):
        return "poscar"
    if len(lines) > 2 and lines[0].strip().isdigit():
        return "xyz"
    return None


def crystal_from_text(text: str) -> Crystal:
    """Read one crystal from CIF, POSCAR, extended XYZ or JSON text, whichever it is.

    Raises:
        UnusableError: with the reason for the table of dropped entries.
    """
    kind = text_kind(text)
    if kind is None:
        shown = " ".join(text.split())[:40]
        raise UnusableError(f"{shown!r} is no CIF, POSCAR, XYZ or structure JSON text")
    if kind == "cif":
        return first_usable([Part(*part) for part in crystals_from_cif(text)])
    if kind == "poscar":
        return crystal_from_poscar(text)
    return _parse(text, kind.upper(), _from_xyz if kind == "xyz" else _from_json)


def crystal_from_object(value: Any) -> Crystal:
    """Read one crystal from a text, a dictionary, or a pymatgen or ASE object.

    Raises:
        UnusableError: with the reason for the table of dropped entries.
    """
    if isinstance(value, str):
        return crystal_from_text(value)
    if isinstance(value, Mapping):
        return _parse(value, "structure dictionary", _from_dict)
    if hasattr(value, "frac_coords") and hasattr(value, "lattice"):
        return crystal_from_pymatgen(value)
    if hasattr(value, "get_scaled_positions"):
        return crystal_from_ase(value)
    raise UnusableError(f"an entry of type {type(value).__name__} is no structure")


def crystal_from_pymatgen(structure: Structure) -> Crystal:
    """Convert an ordered pymatgen structure; oxidation states are left out.

    Raises:
        UnusableError: partial occupancy, or a site without an element.
    """
    from pymatgen.core import DummySpecies

    numbers = []
    for site in structure:
        species = list(site.species)
        occupancy = float(site.species.num_atoms)
        if len(species) > 1:
            raise UnusableError(
                f"partial occupancy on site {site.species_string!r}: give an ordered cell"
            )
        check_occupancy(site.species_string, f"{occupancy:g}", occupancy)
        if isinstance(species[0], DummySpecies):
            raise UnusableError(f"site {site.species_string!r} is no chemical element")
        numbers.append(int(species[0].Z))
    return Crystal(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(numbers, dtype=np.int64),
        np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
        periodicity_note(structure.lattice.pbc),
    )


def periodicity_note(periodic: Sequence[bool] | np.ndarray) -> str:
    """Return what is assumed of a cell that repeats in some directions only.

    Raises:
        UnusableError: it repeats in none: a molecule in a box.
    """
    times = sum(map(bool, periodic))
    if times == 0:
        raise UnusableError(
            "it is not periodic (pbc F F F), a molecule in a box; set pbc to T T T for a crystal"
        )
    return "" if times == 3 else f"periodic in {times} of 3 directions, read as a crystal"


def crystal_from_ase(atoms: Atoms) -> Crystal:
    """Convert ASE atoms with a cell.

    Raises:
        UnusableError: there is no lattice.
    """
    cell = np.array(atoms.cell, dtype=np.float64)
    if atoms.cell.rank < 3:
        raise UnusableError("there is no periodic lattice; give a cell of three vectors")
    numbers = np.array(atoms.numbers, dtype=np.int64)
    if (numbers == 0).any():
        raise UnusableError("the species 'X' is no chemical element")
    occupancies = atoms.info.get("occupancy")
    if isinstance(occupancies, Mapping):
        for site, parts in occupancies.items():
            total = float(sum(parts.values())) if len(parts) == 1 else 0.0
            check_occupancy(str(site), ", ".join(f"{k} {v:g}" for k, v in parts.items()), total)
    coords = atoms.get_scaled_positions(wrap=False).reshape(-1, 3)
    return Crystal(cell, numbers, coords, periodicity_note(atoms.pbc))


def crystal_from_jarvis(atoms: Mapping[str, Any]) -> Crystal:
    """Convert the ``atoms`` dictionary of JARVIS: lattice_mat, coords, elements, cartesian.

    Raises:
        UnusableError: a key is missing, lengths disagree, or an element is not known.
    """
    missing = [k for k in ("lattice_mat", "coords", "elements") if k not in atoms]
    if missing:
        raise UnusableError(f"the atoms lack {missing[0]!r}")
    numbers = [element_of(str(symbol)) for symbol in atoms["elements"]]
    lattice = np.array(atoms["lattice_mat"], dtype=np.float64)
    coords = np.array(atoms["coords"], dtype=np.float64).reshape(-1, 3)
    if lattice.shape != (3, 3) or len(coords) != len(numbers):
        raise UnusableError(
            f"{len(numbers)} elements, {len(coords)} positions and a lattice of shape "
            f"{lattice.shape} do not belong together"
        )
    if atoms.get("cartesian"):
        coords = _to_fractional(coords, lattice)
    return Crystal(lattice, np.array(numbers, dtype=np.int64), coords)


def _to_fractional(positions: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(np.linalg.solve(lattice.T, positions.T).T)
    except np.linalg.LinAlgError as error:
        raise UnusableError("the lattice is singular; give a periodic cell") from error


def _parse(data: Any, kind: str, reader: Callable[[Any], Crystal]) -> Crystal:
    """Run a reader of another library; whatever it raises becomes a reason."""
    with warnings.catch_warnings():
        # the readers warn about missing symmetry lines, rounding and electronegativities
        warnings.simplefilter("ignore")
        try:
            return reader(data)
        except UnusableError:
            raise
        except Exception as error:  # parsers of foreign files raise anything, even KeyError
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UnusableError(f"unreadable {kind}: {reason.rstrip('.!')}") from error


def _from_xyz(text: str) -> Crystal:
    frames = list(frame_texts(text))
    if len(frames) != 1:
        raise UnusableError(
            f"the XYZ file holds {len(frames)} frames; give it as a data set of its own"
        )
    return crystal_from_ase(atoms_of_frame(frames[0]))


def _from_json(text: str) -> Crystal:
    return _from_dict(parse_json(text, "the text"))


def _from_dict(data: Mapping[str, Any]) -> Crystal:
    from pymatgen.core import Structure

    if "lattice_mat" in data:
        return crystal_from_jarvis(data)
    if isinstance(data.get("atoms"), Mapping):
        return crystal_from_jarvis(data["atoms"])
    if is_optimade(data):
        return crystal_from_optimade(data)
    if isinstance(data.get("structure"), Mapping):
        return _from_dict(data["structure"])
    if "sites" not in data:
        raise UnusableError("the dictionary has neither 'sites' (pymatgen) nor 'lattice_mat'")
    if "lattice" not in data:
        raise UnusableError("there is no periodic lattice; a molecule is no crystal")
    return crystal_from_pymatgen(Structure.from_dict(dict(data)))
