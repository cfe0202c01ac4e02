"""The same crystals with several functionals: files of Alexandria and DCGAT, MP's client, JARVIS.

The files are written here in the layouts that these databases publish.
"""

import bz2
import gzip
import inspect
import json
import os
import sys
import types

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.info import data_info
from epitaxy.structures.merge_files import merge
from epitaxy.structures.reading import read_source, read_table
from epitaxy.structures.sources.alexandria import functional_of


def computed_entry(structure, energy, entry_id=None, **data):
    """Return what pymatgen writes of a ComputedStructureEntry."""
    return {
        "@module": "pymatgen.entries.computed_entries",
        "@class": "ComputedStructureEntry",
        "energy": energy,
        "composition": structure.composition.as_dict(),
        "entry_id": entry_id,
        "correction": 0.0,
        "energy_adjustments": [],
        "parameters": {},
        "data": data,
        "structure": structure.as_dict(),
    }


def entries(crystals, shift=0.0, scale=1.0):
    """Return entries as Alexandria has them: energies of the cell, gaps, ids in ``data``."""
    found = []
    for number, structure in enumerate(crystals.values()):
        cell = structure.copy()
        cell.scale_lattice(cell.volume * scale)
        data = {
            "mat_id": f"agm{number:09d}",
            "prototype_id": "c1",
            "formula": cell.formula,
            "elements": [str(e) for e in cell.composition.elements],
            "nsites": len(cell),
            "spg": 221,
            "energy_total": (-3.0 + shift) * len(cell),
            "energy_corrected": (-3.2 + shift) * len(cell),
            "e_form": -1.0 - number + shift,
            "e_above_hull": 0.1 * number,
            "e_phase_separation": None if number == 1 else 0.1 * number,
            "band_gap_ind": number / 2 + shift,
            "band_gap_dir": number / 2 + shift + 0.1,
            "total_mag": 0.5 * len(cell),
            "dos_ef": 0.0,
            "stress": [[0.0] * 3] * 3,
            "decomposition": "K Cl",
        }
        found.append(computed_entry(cell, data["energy_total"], **data))
    return json.loads(json.dumps(found))


def write(path, found, *, listed=False):
    """Write entries plain or packed, in a dictionary as Alexandria or in a list as DCGAT."""
    text = json.dumps(found if listed else {"entries": found}).encode()
    pack = {".bz2": bz2.compress, ".gz": gzip.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(text))
    return path


# --- Alexandria and DCGAT ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "functional"),
    [
        ("alexandria_000.json.bz2", "PBE"),
        ("alexandria_2d_001.json.bz2", "PBE"),
        ("alexandria_ps_004.json.bz2", "PBEsol"),
        ("alexandria_scan_000.json.gz", "SCAN"),
        ("dcgat_pbesol_1.json", "PBEsol"),
        ("mine.json", ""),
        ("pbe_or_scan.json", ""),
    ],
)
def test_the_functional_is_that_of_the_file_name(tmp_path, crystals, name, functional):
    assert functional_of(name) == functional
    reading = read_source(str(write(tmp_path / name, entries(crystals), listed="dcgat" in name)))
    assert {spec.functional for spec in reading.table.properties.values()} == {functional}
    assert ("not known" in reading.notes[0]) == (not functional)


def test_values_are_those_of_the_material_not_of_its_cell(tmp_path, crystals):
    path = write(tmp_path / "alexandria_scan_000.json.bz2", entries(crystals))
    table = read_table(path)
    assert list(table.ids) == [f"agm{i:09d}" for i in range(8)]
    first = next(iter(crystals.values()))
    expected = {
        "energy_total_per_atom": -3.0,
        "energy_corrected_per_atom": -3.2,
        "e_form": -1.0,
        "band_gap_dir": 0.1,
        "total_mag_per_atom": 0.5,
        "volume_per_atom": first.volume / len(first),
    }
    for name, value in expected.items():
        assert table.values[name][0] == pytest.approx(value), name
    assert np.isnan(table.values["e_phase_separation"][1])
    assert not {"energy_total", "nsites", "spg", "total_mag"} & set(table.values)
    spec = table.properties["e_form"]
    assert (spec.unit, spec.functional, spec.label) == ("eV/atom", "SCAN", "Formation energy")
    assert table.properties["volume_per_atom"].unit == "Å^3/atom"
    assert "eV/atom, SCAN" in data_info(table).text()


def test_a_user_may_say_the_functional_and_the_table_keeps_it(tmp_path, crystals):
    path = write(tmp_path / "mine.json", entries(crystals))
    table = read_table(f"alexandria:r2scan@{path}")
    table.to_parquet(tmp_path / "mine.parquet")
    again = read_table(tmp_path / "mine.parquet")
    assert again.properties["e_form"] == table.properties["e_form"]
    assert again.properties["e_form"].functional == "r2SCAN"
    with pytest.raises(InputError, match=r"Unknown functional 'scam'.* Did you mean 'scan'"):
        read_table(f"alexandria:scam@{path}")


def test_folders_hold_one_functional(tmp_path, crystals):
    found = entries(crystals)
    write(tmp_path / "alexandria_ps_000.json.bz2", found[:5])
    write(tmp_path / "alexandria_ps_001.json.bz2", found[5:])
    table = read_table(f"alexandria:{tmp_path}")
    assert len(table) == 8
    assert table.properties["e_form"].functional == "PBEsol"
    write(tmp_path / "alexandria_scan_000.json.bz2", found[5:])
    with pytest.raises(InputError, match=r"different functionals \(PBEsol, SCAN\)"):
        read_table(f"alexandria:{tmp_path}")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"holds no .json or"):
        read_table(f"alexandria:{tmp_path / 'none'}")


def test_bad_entries_are_listed_and_bad_files_refused(tmp_path, crystals):
    found = entries(crystals)
    found[0]["structure"]["sites"][0]["species"][0]["occu"] = 0.5
    found[1]["data"].pop("mat_id")
    found[2]["data"].pop("mat_id")
    found[1]["entry_id"] = "other-1"
    table = read_table(write(tmp_path / "alexandria_000.json", found))
    assert list(table.ids[:2]) == ["other-1", "row-2"]
    assert table.dropped[0].id == "agm000000000"
    assert "partial occupancy" in table.dropped[0].reason
    for name, text, words in (
        ("a.json", "{", "no valid JSON"),
        ("b.json", '{"entries": 3}', "must hold computed entries with structures"),
        ("c.json", "[]", "holds 0 rows"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=words):
            read_table(f"alexandria:{tmp_path / name}")
    (tmp_path / "alexandria_001.json.bz2").write_bytes(b"not packed")
    with pytest.raises(InputError, match="Could not read"):
        read_table(tmp_path / "alexandria_001.json.bz2")


@pytest.mark.parametrize("by", ["id", "structure"])
def test_two_fidelities_of_one_crystal_are_joined(tmp_path, crystals, by):
    """SCAN relaxes to smaller cells, so structures are similar and not identical."""
    cheap = write(tmp_path / "alexandria_000.json.bz2", entries(crystals))
    costly = write(tmp_path / "alexandria_scan_000.json.bz2", entries(crystals, 0.25, 0.97)[:5])
    out = tmp_path / "both.parquet"
    sources = [f"pbe={cheap}:band_gap_ind", f"scan={costly}:band_gap_ind"]
    merge(sources, out, by=by, workers=1)
    table = read_table(out)
    both = np.isfinite(table.values["scan"])
    assert (len(table), both.sum()) == (8, 5)
    np.testing.assert_allclose(table.values["scan"][both] - table.values["pbe"][both], 0.25)
    assert {n: s.functional for n, s in table.properties.items()} == {"pbe": "PBE", "scan": "SCAN"}


def test_values_of_two_functionals_are_never_one_column(tmp_path, crystals):
    cheap = write(tmp_path / "alexandria_000.json.bz2", entries(crystals))
    costly = write(tmp_path / "alexandria_ps_000.json.bz2", entries(crystals, 0.25)[:5])
    with pytest.raises(InputError, match="is of PBE in one table and of PBEsol in another"):
        merge([str(cheap), str(costly)], tmp_path / "both.parquet", by="id", keep="first")


def test_properties_without_a_functional_are_written_as_before():
    spec = PropertySpec(name="gap", unit="eV")
    assert "functional" not in spec.model_dump()
    assert spec.model_copy(update={"functional": "PBE"}).model_dump()["functional"] == "PBE"


# --- Materials Project ---------------------------------------------------------------------------


def documents(crystals, thermo_type):
    """Return thermo documents as the client gives them without document models."""
    run_type = {"R2SCAN": "R2SCAN", "GGA_GGA+U": "GGA"}[thermo_type]
    shift = 0.3 if run_type == "R2SCAN" else 0.0
    found = []
    for number, structure in enumerate(crystals.values()):
        kind = "GGA+U" if run_type == "GGA" and number == 2 else run_type
        entry = computed_entry(structure, -4.0 * len(structure), f"mp-{number}-{kind}")
        found.append(
            {
                "material_id": f"mp-{number}",
                "thermo_type": thermo_type,
                "energy_type": kind,
                "uncorrected_energy_per_atom": -4.0,
                "energy_per_atom": -4.1,
                "formation_energy_per_atom": None if number == 1 else -1.0 + shift,
                "energy_above_hull": 0.02 * number,
                "entries": {kind: entry},
            }
        )
    return found


@pytest.fixture
def client(crystals, monkeypatch, tmp_path):
    """Put a client of the Materials Project in place that answers from memory."""
    asked = []

    class Thermo:
        def search(self, *, thermo_types, all_fields, fields, **query):
            asked.append({"thermo_types": thermo_types, **query})
            assert not all_fields
            (kind,) = thermo_types
            return [{k: d[k] for k in fields if k in d} for d in documents(crystals, kind)]

    class MPRester:
        def __init__(self, *, use_document_model):
            assert not use_document_model
            if "MP_API_KEY" not in os.environ:
                raise ValueError("Please obtain a valid API key")
            self.materials = types.SimpleNamespace(thermo=Thermo())

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    fake = types.ModuleType("mp_api.client")
    fake.MPRester = MPRester
    monkeypatch.setitem(sys.modules, "mp_api", types.ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", fake)
    monkeypatch.setenv("MP_API_KEY", "x" * 32)
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))
    return asked


def test_both_levels_of_the_materials_project(client, crystals):
    gga, r2scan = read_table("mp:gga"), read_table("mp:r2scan/Cs-Cl, Li-O")
    assert client == [
        {"thermo_types": ["GGA_GGA+U"]},
        {"thermo_types": ["R2SCAN"], "chemsys": ["Cs-Cl", "Li-O"]},
    ]
    assert list(gga.ids) == [f"mp-{i}" for i in range(8)]
    assert gga.values["formation_energy_per_atom"][0] == -1.0
    assert np.isnan(r2scan.values["formation_energy_per_atom"][1])
    specs = [t.properties["formation_energy_per_atom"] for t in (gga, r2scan)]
    assert [s.functional for s in specs] == ["PBE(+U)", "r2SCAN"]
    assert {s.unit for s in specs} == {"eV/atom"}
    first = next(iter(crystals.values()))
    np.testing.assert_allclose(gga.lattices[0], first.lattice.matrix)
    read_table("mp:gga")
    assert len(client) == 2  # kept


def test_both_levels_are_joined_by_id(client, tmp_path):
    sources = [f"{level}=mp:{level}:formation_energy_per_atom" for level in ("gga", "r2scan")]
    table = merge(sources, tmp_path / "both.parquet", by="id").table
    difference = table.values["r2scan"] - table.values["gga"]
    np.testing.assert_allclose(np.delete(difference, 1), 0.3)


def test_documents_without_a_structure_are_listed(client, crystals, monkeypatch):
    found = documents(crystals, "R2SCAN")
    found[3]["entries"] = {}
    monkeypatch.setattr("epitaxy.structures.sources.materials_project._load", lambda *_: found)
    table = read_table("mp:r2scan")
    assert len(table) == 7
    assert table.dropped[0].reason == "the document has no entry with a structure"


def test_levels_keys_and_packages_that_are_missing(client, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"Unknown level of theory 'pbe'; allowed: gga, r2scan"):
        read_table("mp:pbe")
    monkeypatch.delenv("MP_API_KEY")
    with pytest.raises(InputError, match=r"valid API key\); set MP_API_KEY"):
        read_table("mp:gga")
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    with pytest.raises(InputError, match=r"pip install 'epitaxy\[mp\]'"):
        read_table("mp:gga")


def test_the_real_client_takes_what_we_ask():
    """The names of its arguments and fields, without a network."""
    thermo = pytest.importorskip("mp_api.client.routes.materials.thermo", reason="no mp-api")
    from epitaxy.structures.sources.materials_project import FIELDS, LEVELS

    arguments = inspect.signature(thermo.ThermoRester.search).parameters
    assert {"thermo_types", "all_fields", "fields", "chemsys"} <= arguments.keys()
    assert set(FIELDS) <= thermo.ThermoDoc.model_fields.keys()
    kinds = {kind.value for kind in thermo.ThermoType}
    assert {level.thermo_type for level in LEVELS.values()} <= kinds


# --- JARVIS --------------------------------------------------------------------------------------


def test_columns_of_jarvis_say_their_functional(tmp_path, crystals):
    records = [
        {
            "jid": f"JVASP-{i}",
            "optb88vdw_bandgap": i / 2,
            "mbj_bandgap": "na" if i % 2 else i / 2 + 1,
            "formation_energy_peratom": -1.0,
            "hse_gap": "na",
            "spillage": 0.1,
            "atoms": {
                "lattice_mat": s.lattice.matrix.tolist(),
                "coords": s.frac_coords.tolist(),
                "elements": [e.symbol for e in s.species],
                "cartesian": False,
            },
        }
        for i, s in enumerate(crystals.values())
    ]
    (tmp_path / "d.json").write_text(json.dumps(records))
    table = read_table(tmp_path / "d.json")
    assert {n: s.functional for n, s in table.properties.items() if s.functional} == {
        "optb88vdw_bandgap": "OptB88vdW",
        "mbj_bandgap": "TBmBJ",
        "formation_energy_peratom": "OptB88vdW",
        "hse_gap": "HSE06",
    }
    assert table.properties["mbj_bandgap"].unit == "eV"
    assert np.isfinite(table.values["mbj_bandgap"]).sum() == 4
