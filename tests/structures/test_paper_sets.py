"""Data sets of papers, on frames of the form that their loaders give."""

import json
import sys
import types

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition
from pymatgen.io.vasp import Poscar
from typer.testing import CliRunner

from epitaxy.cli.data import app
from epitaxy.core.errors import InputError
from epitaxy.structures.papers import SETS, paper
from epitaxy.structures.reading import read_table
from epitaxy.structures.sources import jarvis_source, materials_project, matminer_source

N = 8
RICCI = {
    "ΔE [eV]": "number", "V [Å³]": "number", "S.p [µV/K]": "number", "S.n [µV/K]": "number",
    "\u03c3.p [1/Ω/m/s]": "number", "\u03c3.n [1/Ω/m/s]": "number", "κₑ.p [W/K/m/s]": "number",
    "κₑ.n [W/K/m/s]": "number", "mₑᶜ.p.ε̄ [mₑ]": "number", "mₑᶜ.n.ε̄ [mₑ]": "number",
}  # fmt: skip
JARVIS = {
    "composition": "composition", "e_form": "number", "epsilon_x opt": "number",
    "epsilon_x tbmbj": "number", "epsilon_y opt": "number", "epsilon_y tbmbj": "number",
    "epsilon_z opt": "number", "epsilon_z tbmbj": "number", "gap opt": "number",
    "gap tbmbj": "number", "jid": "id", "mpid": "repeated", "structure": "structure",
    "structure initial": "structure",
}  # fmt: skip
COLUMNS = {
    "piezoelectric_tensor": {
        "material_id": "id", "formula": "formula", "nsites": "number", "point_group": "text",
        "space_group": "number", "volume": "number", "structure": "structure",
        "eij_max": "number", "v_max": "vector", "piezoelectric_tensor": "tensor", "cif": "cif",
        "meta": "text", "poscar": "poscar",
    },
    "elastic_tensor_2015": {
        "material_id": "id", "formula": "formula", "nsites": "number", "space_group": "number",
        "volume": "number", "structure": "structure", "elastic_anisotropy": "number",
        "G_Reuss": "number", "G_VRH": "number", "G_Voigt": "number", "K_Reuss": "number",
        "K_VRH": "number", "K_Voigt": "number", "poisson_ratio": "number",
        "compliance_tensor": "tensor", "elastic_tensor": "tensor",
        "elastic_tensor_original": "tensor", "cif": "cif", "kpoint_density": "number",
        "poscar": "poscar",
    },
    "dielectric_constant": {
        "material_id": "id", "formula": "formula", "nsites": "number", "space_group": "number",
        "volume": "number", "structure": "structure", "band_gap": "number",
        "e_electronic": "nested", "e_total": "nested", "n": "number", "poly_electronic": "number",
        "poly_total": "number", "pot_ferroelectric": "truth", "cif": "cif", "meta": "text",
        "poscar": "poscar",
    },
    "phonon_dielectric_mp": {
        "mpid": "id", "eps_electronic": "number", "eps_total": "number",
        "last phdos peak": "number", "structure": "structure", "formula": "formula",
    },
    "jarvis_dft_2d": {**JARVIS, "exfoliation_en": "number"},
    "jarvis_dft_3d": {**JARVIS, "bulk modulus": "number", "shear modulus": "number"},
    "expt_gap_kingsbury": {"formula": "formula", "expt_gap": "number", "likely_mpid": "mpid"},
    "expt_formation_enthalpy": {
        "formula": "formula", "space group": "text", "pearson symbol": "text", "mpid": "mpid",
        "oqmdid": "number", "e_form expt": "number", "e_form mp": "number", "e_form oqmd": "number",
    },
    "expt_formation_enthalpy_kingsbury": {
        "formula": "formula", "expt_form_e": "number", "uncertainty": "number",
        "phaseinfo": "text", "reference": "text", "likely_mpid": "mpid",
    },
    "matbench_phonons": {"structure": "structure", "last phdos peak": "number"},
    "matbench_dielectric": {"structure": "structure", "n": "number"},
    "matbench_log_gvrh": {"structure": "structure", "log10(G_VRH)": "number"},
    "matbench_log_kvrh": {"structure": "structure", "log10(K_VRH)": "number"},
    "matbench_mp_e_form": {"structure": "structure", "e_form": "number"},
    "matbench_mp_gap": {"structure": "structure", "gap pbe": "number"},
    "castelli_perovskites": {
        "fermi level": "number", "fermi width": "number", "e_form": "number",
        "gap is direct": "truth", "structure": "structure", "mu_b": "number", "formula": "formula",
        "vbm": "number", "cbm": "number", "gap gllbsc": "number",
    },
    "ricci_boltztrap_mp_tabular": {
        "task": "id", "functional": "text", "is_metal": "truth", **RICCI,
        "structure": "structure", "pretty_formula": "formula",
    },
}  # fmt: skip
"""Data set -> its columns and what stands in them, as matminer describes and tests them."""
MADE = {
    "number": lambda i, s: 0.5 + i,
    "id": lambda i, s: f"mp-{100 + i}",
    "repeated": lambda i, s: ["mp-1", None, float("nan")][i % 3],
    "mpid": lambda i, s: f"mp-{100 + i}" if i != 3 else None,
    "formula": lambda i, s: s.reduced_formula,
    "text": lambda i, s: ["4mm", "some words", "P m -3 m"][i % 3],
    "vector": lambda i, s: [0.0, 0.0, 1.0],
    "tensor": lambda i, s: np.full((3, 6), float(i)),
    "nested": lambda i, s: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "structure": lambda i, s: s,
    "composition": lambda i, s: Composition(s.formula),
    "cif": lambda i, s: s.to(fmt="cif"),
    "poscar": lambda i, s: Poscar(s).get_str(),
    "truth": lambda i, s: bool(i % 2),
}


def frame(name, crystals):
    made = {
        column: [MADE[kind](i, s) for i, s in enumerate(crystals.values())]
        for column, kind in COLUMNS[name].items()
    }
    return pd.DataFrame(made)


@pytest.fixture(autouse=True)
def _loaders(crystals, monkeypatch, tmp_path):
    """Put frames in the place of downloads."""
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(matminer_source, "_load", lambda name: frame(name, crystals))
    monkeypatch.setattr(
        matminer_source,
        "structures_of",
        lambda ids, what: {
            f"mp-{100 + i}": s for i, s in enumerate(crystals.values()) if f"mp-{100 + i}" in ids
        },
    )
    records = [
        {"jid": f"JVASP-{i}", "optb88vdw_bandgap": i, "efermi": "na",
         "atoms": {"lattice_mat": s.lattice.matrix.tolist(), "coords": s.frac_coords.tolist(),
                   "elements": [x.symbol for x in s.species], "cartesian": False}}
        for i, s in enumerate(crystals.values())
    ]  # fmt: skip
    monkeypatch.setattr(jarvis_source, "_load", lambda name: records)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_loader_of_the_papers_is_read(name):
    table = read_table(f"matminer:{name}")
    lost = 1 if "mpid" in COLUMNS[name].values() else 0
    assert len(table) == N - lost
    numbers = [c for c, kind in COLUMNS[name].items() if kind == "number" and "[" not in c]
    assert set(numbers) <= set(table.values)
    assert not {"v_max", "piezoelectric_tensor", "elastic_tensor"} & set(table.values)
    again = read_table(f"matminer:{name}")
    assert list(again.values) == list(table.values)


@pytest.mark.parametrize(
    "name", [name for name, made in SETS.items() if made.source != "alexandria"]
)
def test_every_data_set_of_the_papers_is_made(name):
    table = paper(name)
    assert list(table.values) == ["target"]
    assert len(table) >= N - 1
    assert np.isfinite(table.values["target"]).all()


def test_targets_are_those_of_the_papers(crystals, monkeypatch):
    def load(name):
        made = frame(name, crystals)
        if name == "jarvis_dft_2d":
            made["epsilon_x opt"] = [1.0, np.nan, *range(2, 8)]
            made["epsilon_y opt"], made["epsilon_z opt"] = 2.0, 6.0
            made["gap opt"] = [0.0, 0.05, *range(2, 8)]
        if name == "ricci_boltztrap_mp_tabular":
            made["mₑᶜ.n.ε̄ [mₑ]"] = [100.0, 101.0, *range(6)]
        return made

    monkeypatch.setattr(matminer_source, "_load", load)
    mean = paper("chang2022:jarvis_2d_dielectric_opt")
    assert mean.values["target"].tolist() == pytest.approx([3, *((x + 8) / 3 for x in range(2, 8))])
    assert mean.row_numbers.tolist() == list(range(7))
    assert paper("chang2022:jarvis_2d_gap_opt").values["target"].min() == 0.05
    mass = paper("chang2022:n_avg_eff_mass").values["target"]
    assert mass.tolist() == pytest.approx(np.log1p([100.0, *range(6)]).tolist())
    piezo = paper("chang2022:piezoelectric_tensor")
    assert piezo.values["target"] == pytest.approx(np.log1p(0.5 + np.arange(8)))
    assert piezo.properties["target"].unit == "ln(1 + C/m^2)"
    assert paper("devi2024:pz").values["target"].tolist() == (0.5 + np.arange(8)).tolist()
    assert list(piezo.ids) == [f"mp-{100 + i}" for i in range(8)]


def test_rows_are_numbered_among_those_with_an_id():
    table = paper("devi2024:ebg")
    assert list(table.ids) == [f"mp-{100 + i}" for i in range(8) if i != 3]
    assert table.row_numbers.tolist() == list(range(7))


def test_headers_with_units_become_properties_with_units():
    table = read_table("matminer:ricci_boltztrap_mp_tabular")
    assert table.properties["S.p"].unit == "µV/K"
    assert table.properties["mₑᶜ.n.ε̄"].unit == "mₑ"
    assert table.properties["is_metal"].classes == ("False", "True")
    assert list(read_table("matminer:ricci_boltztrap_mp_tabular", target="S.p [µV/K]").values) == [
        "S.p"
    ]


def test_sizes_that_differ_from_the_paper_are_told(caplog):
    paper("devi2024:dc")
    assert "devi2024:dc has 8 rows here, 1056 in the paper" in caplog.text


def test_structures_come_by_id_or_the_package_is_named(monkeypatch, crystals):
    monkeypatch.setattr(matminer_source, "structures_of", materials_project.structures_of)
    monkeypatch.setitem(sys.modules, "mp_api", None)
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    with pytest.raises(InputError, match=r"expt_gap_kingsbury' holds no structures.*epitaxy\[mp\]"):
        read_table("matminer:expt_gap_kingsbury")

    class Client:
        def __init__(self, **_):
            self.materials = types.SimpleNamespace(summary=self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def search(self, material_ids, **_):
            known = {f"mp-{100 + i}": s.as_dict() for i, s in enumerate(crystals.values())}
            return [
                {"material_id": i, "structure": known[i]} for i in material_ids if i != "mp-101"
            ]

    monkeypatch.setitem(sys.modules, "mp_api", types.ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", types.SimpleNamespace(MPRester=Client))
    table = read_table("matminer:expt_gap_kingsbury")
    assert len(table) == 6
    assert (table.dropped[0].id, table.dropped[0].reason) == ("mp-101", "the structure is missing")


def alexandria(path, crystals):
    entries = [
        {"@class": "ComputedStructureEntry", "structure": s.as_dict(),
         "data": {"mat_id": f"agm{i}", "e_form": -i / 10, "e_above_hull": i / 10,
                  "band_gap_ind": i / 20}}
        for i, s in enumerate(crystals.values())
    ]  # fmt: skip
    path.write_text(json.dumps({"entries": entries}))
    return path


def test_hoffmanns_sets_come_from_files_of_alexandria(tmp_path, crystals):
    file = alexandria(tmp_path / "alexandria_scan_000.json", crystals)
    gaps = paper("hoffmann2023:scan_gap_semiconductors", file)
    assert gaps.values["target"].tolist() == pytest.approx([0.15, 0.2, 0.25, 0.3, 0.35])
    assert gaps.properties["target"].functional == "SCAN"
    for what in ("hull", "form", "volume", "gap"):
        assert len(paper(f"hoffmann2023:scan_{what}", file)) == 8
    with pytest.raises(InputError, match=r"needs files of Alexandria with SCAN.*--from"):
        paper("hoffmann2023:scan_gap")


def test_one_command_writes_a_data_set(tmp_path):
    out = tmp_path / "pz.parquet"
    result = CliRunner().invoke(app, ["paper", "devi2024:pz", str(out)], catch_exceptions=False)
    assert "8 crystals written" in result.output
    assert read_table(out).properties["target"].unit == "C/m^2"
    assert "devi2024:pz" in CliRunner().invoke(app, ["paper", "list"]).output
    with pytest.raises(InputError, match=r"Unknown data set .* Did you mean 'devi2024:pz'"):
        paper("devi2024:pzz")
