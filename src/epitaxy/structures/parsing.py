"""One crystal from a file, a text, a dictionary or an object of another library."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epitaxy.core.elements import NUMBERS
from epitaxy.core.errors import InputError
from epitaxy.structures.building import Crystal, UnusableError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

STRUCTURE_SUFFIXES = (".cif", ".vasp", ".poscar", ".extxyz", ".xyz")
_POSCAR_NAME = re.compile(r"(?i)(poscar|contcar)(?![a-z]).*")


def is_structure_file(path: Path) -> bool:
    """Tell by its name whether a file holds one crystal.

    >>> [is_structure_file(Path(n)) for n in ("a.cif", "POSCAR_mp-1", "b.CIF.gz", "id_prop.csv")]
    [True, True, True, False]
    """
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(STRUCTURE_SUFFIXES) or bool(_POSCAR_NAME.fullmatch(name))


def without_suffix(name: str) -> str:
    """Return a file name or id without the ending of a structure file.

    >>> without_suffix("JVASP-1.vasp"), without_suffix("mp-1.5"), without_suffix("x.cif.gz")
    ('JVASP-1', 'mp-1.5', 'x')
    """
    lower = name.lower()
    for suffix in STRUCTURE_SUFFIXES:
        for ending in (suffix, suffix + ".gz"):
            if lower.endswith(ending) and len(name) > len(ending):
                return name[: -len(ending)]
    return name


def read_text(path: str | Path) -> str:
    """Return the text of a plain, .gz, .bz2 or .zip file (a zip must hold one file).

    Raises:
        InputError: the file cannot be read, is no text, or the archive is damaged.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        elif path.suffix.lower() == ".bz2":
            data = bz2.decompress(data)
        elif path.suffix.lower() == ".zip":
            data = _single_member(path, data)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"Could not read {str(path)!r}: {error}.") from error
    if b"\0" in data[:4096]:
        raise InputError(f"{str(path)!r} is a binary file, not text; give a text table or CIF.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # old CIFs carry author names in Latin-1; every byte is valid there
        return data.decode("latin-1")


def _single_member(path: Path, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX" not in n]
        if len(names) != 1:
            raise InputError(
                f"The archive {str(path)!r} holds {len(names)} files; unpack it and give the "
                "file or folder inside."
            )
        return archive.read(names[0])


def crystal_from_file(path: str | Path) -> Crystal:
    """Read one crystal from a CIF, POSCAR, XYZ or pymatgen JSON file.

    Raises:
        UnusableError: with the reason for the table of dropped entries.
    """
    try:
        text = read_text(path)
    except InputError as error:
        raise UnusableError(str(error).rstrip(".")) from error
    name = Path(path).name.lower().removesuffix(".gz")
    if not text.strip():
        raise UnusableError("the file is empty")
    if name.endswith(".cif"):
        return _parse(text, "CIF", _from_cif)
    if name.endswith((".xyz", ".extxyz")):
        return _parse(text, "XYZ", _from_xyz)
    if name.endswith((".vasp", ".poscar")) or _POSCAR_NAME.fullmatch(name):
        return _parse(text, "POSCAR", _from_poscar)
    return crystal_from_text(text)


def crystal_from_file_or_reason(path: str) -> Crystal | UnusableError:
    """Like `crystal_from_file`, but returns the failure (worker processes send it back)."""
    try:
        return crystal_from_file(path)
    except UnusableError as error:
        return error


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
    if len(lines) >= 5 and all(_all_floats(line, 3) for line in lines[2:5]):
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
    readers = {"cif": _from_cif, "poscar": _from_poscar, "xyz": _from_xyz, "json": _from_json}
    return _parse(text, kind.upper(), readers[kind])


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
        if not site.is_ordered:
            raise UnusableError(
                f"partial occupancy on site {site.species_string!r}: give an ordered cell"
            )
        if isinstance(site.specie, DummySpecies):
            raise UnusableError(f"site {site.species_string!r} is no chemical element")
        numbers.append(int(site.specie.Z))
    return Crystal(
        np.array(structure.lattice.matrix, dtype=np.float64),
        np.array(numbers, dtype=np.int64),
        np.array(structure.frac_coords, dtype=np.float64).reshape(-1, 3),
    )


def crystal_from_ase(atoms: Atoms) -> Crystal:
    """Convert ASE atoms with a cell.

    Raises:
        UnusableError: there is no lattice.
    """
    cell = np.array(atoms.cell, dtype=np.float64)
    if atoms.cell.rank < 3:
        raise UnusableError("there is no periodic lattice; give a cell of three vectors")
    numbers = np.array(atoms.numbers, dtype=np.int64)
    return Crystal(cell, numbers, atoms.get_scaled_positions(wrap=False).reshape(-1, 3))


def crystal_from_jarvis(atoms: Mapping[str, Any]) -> Crystal:
    """Convert the ``atoms`` dictionary of JARVIS: lattice_mat, coords, elements, cartesian.

    Raises:
        UnusableError: a key is missing, lengths disagree, or an element is not known.
    """
    missing = [k for k in ("lattice_mat", "coords", "elements") if k not in atoms]
    if missing:
        raise UnusableError(f"the atoms lack {missing[0]!r}")
    symbols = [str(e).strip() for e in atoms["elements"]]
    unknown = [s for s in symbols if s not in NUMBERS]
    if unknown:
        raise UnusableError(f"{unknown[0]!r} is no chemical element")
    lattice = np.array(atoms["lattice_mat"], dtype=np.float64)
    coords = np.array(atoms["coords"], dtype=np.float64).reshape(-1, 3)
    if lattice.shape != (3, 3) or len(coords) != len(symbols):
        raise UnusableError(
            f"{len(symbols)} elements, {len(coords)} positions and a lattice of shape "
            f"{lattice.shape} do not belong together"
        )
    if atoms.get("cartesian"):
        coords = _to_fractional(coords, lattice)
    return Crystal(lattice, np.array([NUMBERS[s] for s in symbols], dtype=np.int64), coords)


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


def _from_cif(text: str) -> Crystal:
    from pymatgen.core import Structure

    return crystal_from_pymatgen(Structure.from_str(text, fmt="cif", primitive=False))


def _from_poscar(text: str) -> Crystal:
    from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

    # without element names the reader would invent H, He, Li, ...
    warnings.filterwarnings("error", category=BadPoscarWarning)
    return crystal_from_pymatgen(Poscar.from_str(text, read_velocities=False).structure)


def _from_xyz(text: str) -> Crystal:
    from ase.io import read

    frames = read(io.StringIO(text), index=":", format="extxyz")
    if len(frames) != 1:
        raise UnusableError(
            f"the XYZ file holds {len(frames)} frames; give it as a data set of its own"
        )
    return crystal_from_ase(frames[0])


def _from_json(text: str) -> Crystal:
    return _from_dict(json.loads(text))


def _from_dict(data: Mapping[str, Any]) -> Crystal:
    from pymatgen.core import Structure

    if "lattice_mat" in data:
        return crystal_from_jarvis(data)
    if isinstance(data.get("atoms"), Mapping):
        return crystal_from_jarvis(data["atoms"])
    if "sites" not in data:
        raise UnusableError("the dictionary has neither 'sites' (pymatgen) nor 'lattice_mat'")
    return crystal_from_pymatgen(Structure.from_dict(dict(data)))


def _all_floats(line: str, n: int) -> bool:
    words = line.split()[:n]
    try:
        return len([float(w) for w in words]) == n
    except ValueError:
        return False
