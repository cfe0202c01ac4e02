"""Folders of CIF files with a table of band gaps, and the program run in this process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epitaxy.structures.table import StructureTable

CATIONS = ("Li", "Na", "K", "Rb", "Cs", "Mg")
ANIONS = ("F", "Cl", "Br", "I", "O")
IDS = tuple(f"salt-{n:02d}" for n in range(30))
NAMES = dict(zip(IDS, [(c, a) for c in CATIONS for a in ANIONS], strict=True))
EDGES = dict(zip(IDS, (3.3 + 0.1 * c + 0.15 * a for c in range(6) for a in range(5)), strict=True))
GAPS = {i: round(12 - 2 * edge + 0.1 * (n % 3), 3) for n, (i, edge) in enumerate(EDGES.items())}
FILES = {
    *{".epitaxy", "config.yaml", "model.safetensors", "model.json", "history.csv", "metrics.json"},
    *{"predictions.parquet", "plan.csv", "report.html", "figures", "learned.safetensors"},
    "checksums.json",
}
"""What stands in the folder of a finished run of which every crystal could be used."""


def cif(name, *, occupancy=1.0, elements=None, edge=None) -> str:
    """Return a crystal of the CsCl type."""
    first, second = elements or NAMES[name]
    edge = edge or EDGES[name]
    lengths = "\n".join(f"_cell_length_{x} {edge:.3f}" for x in "abc")
    angles = "\n".join(f"_cell_angle_{x} 90" for x in ("alpha", "beta", "gamma"))
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
    loop = "\n".join(f"_atom_site_{c}" for c in columns)
    return (
        f"data_{name}\n{lengths}\n{angles}\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n{loop}\n"
        f"{first}1 {first} 0 0 0 {occupancy}\n{second}1 {second} 0.5 0.5 0.5 1\n"
    )


def single_atom(symbol, edge) -> str:
    """Return a simple cubic cell of one atom."""
    lines = cif("one", elements=(symbol, "X"), edge=edge).splitlines()
    return "\n".join(lines[:-1]) + "\n"


def write_folder(folder, *, ids=IDS, table="id_prop.csv", header="id,gap", gaps=None) -> Path:
    """Write CIF files and the table beside them; ``gaps`` replaces single values by a text."""
    folder.mkdir(parents=True)
    for name in ids:
        (folder / f"{name}.cif").write_text(cif(name))
    cells = {name: str(GAPS[name]) for name in ids} | (gaps or {})
    lines = [header] * bool(header) + [f"{name},{gap}" for name, gap in cells.items()]
    (folder / table).write_text("\n".join(lines) + "\n")
    return folder


def in_memory(*, ids=IDS, gaps=None) -> StructureTable:
    """Return the same crystals as a table."""
    from epitaxy.core.elements import NUMBERS

    values = GAPS | (gaps or {})
    return StructureTable.from_arrays(
        ids=ids,
        lattices=[np.eye(3) * round(EDGES[i], 3) for i in ids],
        atomic_numbers=[[NUMBERS[symbol] for symbol in NAMES[i]] for i in ids],
        frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]]] * len(ids),
        values={"gap": [values[i] for i in ids]},
    )


@dataclass(frozen=True)
class Result:
    """What a command line ended with."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The complaint of a command that was given something wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("epitaxy: ")]
        assert self.code == 2, self.err
        assert "Traceback" not in self.err
        assert lines == self.err.splitlines()[-1:], self.err
        return lines[0]


def environment() -> dict[str, str]:
    """Return the environment for a real process."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def program(*arguments, **options) -> "subprocess.Popen[str]":
    """Start the program as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "epitaxy", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,
    )


def content(folder) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }
