"""The data sets of three papers on transfer learning, as the papers used them.

Chang: R. Chang, Y.-X. Wang, E. Ertekin, npj Comput. Mater. 8, 242 (2022). Devi: R. Devi, K. T.
Butler, G. Sai Gautam, npj Comput. Mater. 10, 300 (2024). Hoffmann: N. Hoffmann, J. Schmidt, S.
Botti, M. A. L. Marques, Digital Discovery 2, 1368 (2023).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.deriving import derive, where
from epitaxy.structures.reading import read_table
from epitaxy.structures.sources.alexandria import FUNCTIONALS
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
ALEXANDRIA = "https://alexandria.icams.rub.de"


@dataclass(frozen=True)
class PaperSet:
    """How a paper made one of its tables."""

    source: str
    """What `read_table` reads; ``alexandria`` alone stands for files that the user has."""
    formula: str
    """The target, as `evaluate` understands it."""
    unit: str = ""
    condition: str = ""
    """Which values the paper kept; rows without a value are never kept."""
    rows: int | None = None
    """How many the paper names."""
    note: str = ""


def _mean(suffix: str) -> str:
    return f"(`epsilon_x {suffix}` + `epsilon_y {suffix}` + `epsilon_z {suffix}`) / 3"


def _ricci(column: str, **more: str) -> PaperSet:
    note = "all materials of the source that have the value"
    return PaperSet("matminer:ricci_boltztrap_mp_tabular", column, note=note, **more)  # type: ignore[arg-type]


TWO, THREE = "matminer:jarvis_dft_2d", "matminer:jarvis_dft_3d"
SETS: dict[str, PaperSet] = {
    # the 19 tasks of Chang
    "chang2022:expt_eform": PaperSet(
        "matminer:expt_formation_enthalpy_combined", "`e_form expt`", "eV/atom", rows=1709,
        note="both sets of measured enthalpies, one row per material; the paper does not say how "
        "it joined them"),
    "chang2022:expt_bandgap": PaperSet(
        "matminer:expt_gap_kingsbury", "expt_gap", "eV", rows=2481),
    "chang2022:jarvis_2d_exfoliation": PaperSet(TWO, "exfoliation_en", "meV/atom", rows=636),
    "chang2022:jarvis_2d_eform": PaperSet(TWO, "e_form", "eV/atom", rows=633),
    "chang2022:jarvis_2d_gap_opt": PaperSet(TWO, "`gap opt`", "eV", "target > 0", 522),
    "chang2022:jarvis_2d_gap_tbmbj": PaperSet(TWO, "`gap tbmbj`", "eV", "target > 0", 120),
    "chang2022:jarvis_2d_dielectric_opt": PaperSet(TWO, _mean("opt"), rows=522),
    "chang2022:jarvis_2d_dielectric_tbmbj": PaperSet(TWO, _mean("tbmbj"), rows=120),
    "chang2022:jarvis_3d_gap_tbmbj": PaperSet(THREE, "`gap tbmbj`", "eV", rows=7348),
    "chang2022:jarvis_3d_eps_tbmbj": PaperSet(THREE, _mean("tbmbj"), rows=8043),
    "chang2022:piezoelectric_tensor": PaperSet(
        "matminer:piezoelectric_tensor", "log(1 + eij_max)", "ln(1 + C/m^2)", rows=941),
    "chang2022:mp_phonons": PaperSet(
        "matminer:matbench_phonons", "log(`last phdos peak`)", "ln(cm^-1)", rows=1265),
    "chang2022:mp_dielectric": PaperSet("matminer:matbench_dielectric", "log(n)", rows=4764),
    "chang2022:mp_elastic_anisotropy": PaperSet(
        "matminer:elastic_tensor_2015", "elastic_anisotropy", rows=1181),
    "chang2022:mp_poisson_ratio": PaperSet(
        "matminer:elastic_tensor_2015", "poisson_ratio", rows=1181),
    "chang2022:mp_eps_electronic": PaperSet(
        "matminer:phonon_dielectric_mp", "log(eps_electronic)", rows=1296),
    "chang2022:mp_eps_total": PaperSet(
        "matminer:phonon_dielectric_mp", "log(eps_total)", rows=1296),
    "chang2022:mp_poly_electronic": PaperSet(
        "matminer:dielectric_constant", "poly_electronic", rows=1056),
    "chang2022:mp_poly_total": PaperSet("matminer:dielectric_constant", "poly_total", rows=1056),
    # its 18 sources
    "chang2022:mp_eform": PaperSet(
        "matminer:matbench_mp_e_form", "e_form", "eV/atom", rows=132752),
    "chang2022:mp_bandgap": PaperSet("matminer:matbench_mp_gap", "`gap pbe`", "eV", rows=106113),
    "chang2022:mp_gvrh": PaperSet(
        "matminer:matbench_log_gvrh", "`log10(G_VRH)`", "log10(GPa)", rows=10987),
    "chang2022:mp_kvrh": PaperSet(
        "matminer:matbench_log_kvrh", "`log10(K_VRH)`", "log10(GPa)", rows=10987),
    "chang2022:castelli_eform": PaperSet(
        "matminer:castelli_perovskites", "e_form", "eV/cell", rows=18928),
    "chang2022:jarvis_eform": PaperSet(THREE, "e_form", "eV/atom", rows=25923),
    "chang2022:jarvis_bandgap": PaperSet(THREE, "`gap opt`", "eV", rows=23455),
    "chang2022:jarvis_dielectric_opt": PaperSet(THREE, f"log(1 + {_mean('opt')})", rows=19027),
    "chang2022:jarvis_gvrh": PaperSet(
        THREE, "log(1 + `shear modulus`)", "ln(1 + GPa)", rows=10855),
    "chang2022:jarvis_kvrh": PaperSet(THREE, "log(1 + `bulk modulus`)", "ln(1 + GPa)", rows=11028),
    "chang2022:n_e_cond": _ricci("log(1 + `\u03c3.n`)", unit="ln(1 + 1/Ω/m/s)"),
    "chang2022:p_e_cond": _ricci("log(1 + `\u03c3.p`)", unit="ln(1 + 1/Ω/m/s)"),
    "chang2022:n_th_cond": _ricci("log(1 + `κₑ.n`)", unit="ln(1 + W/K/m/s)"),
    "chang2022:p_th_cond": _ricci("log(1 + `κₑ.p`)", unit="ln(1 + W/K/m/s)"),
    "chang2022:n_Seebeck": _ricci("abs(`S.n`)", unit="µV/K"),
    "chang2022:p_Seebeck": _ricci("abs(`S.p`)", unit="µV/K"),
    "chang2022:n_avg_eff_mass": _ricci("log(1 + `mₑᶜ.n.ε̄`)", condition="`mₑᶜ.n.ε̄` <= 100"),
    "chang2022:p_avg_eff_mass": _ricci("log(1 + `mₑᶜ.p.ε̄`)", condition="`mₑᶜ.p.ε̄` <= 100"),
    # the seven properties of Devi, and its 2D gaps
    "devi2024:gv": PaperSet(
        "matminer:matbench_log_gvrh", "`log10(G_VRH)`", "log10(GPa)", rows=10987),
    "devi2024:ph": PaperSet(
        "matminer:matbench_phonons", "`last phdos peak`", "cm^-1", rows=1265),
    "devi2024:fe": PaperSet("matminer:matbench_mp_e_form", "e_form", "eV/atom", rows=132752),
    "devi2024:bg": PaperSet("matminer:matbench_mp_gap", "`gap pbe`", "eV", rows=106113),
    "devi2024:pz": PaperSet("matminer:piezoelectric_tensor", "eij_max", "C/m^2", rows=941),
    "devi2024:dc": PaperSet("matminer:dielectric_constant", "poly_total", rows=1056),
    "devi2024:ebg": PaperSet("matminer:expt_gap_kingsbury", "expt_gap", "eV", rows=2481),
    "devi2024:jarvis_2d": PaperSet("jarvis:dft_2d", "optb88vdw_bandgap", "eV", rows=1103),
}  # fmt: skip
for _functional in ("PBE", "PBEsol", "SCAN"):
    SETS |= {
        f"hoffmann2023:{_functional.lower()}_{_name}": PaperSet("alexandria", *_rest)  # type: ignore[arg-type]
        for _name, *_rest in (
            ("hull", "e_above_hull", "eV/atom"),
            ("form", "e_form", "eV/atom"),
            ("volume", "volume_per_atom", "Å^3/atom"),
            ("gap", "band_gap_ind", "eV"),
            ("gap_semiconductors", "band_gap_ind", "eV", "target > 0.1"),
        )
    }
"""Name -> how to make it."""


def paper(name: str, files: str | Path | None = None) -> StructureTable:
    """Return a data set of a paper with its only property ``target``.

    Rows are numbered as in the paper, so that its published splits by row number fit.

    Args:
        name: one of `SETS`, as ``devi2024:pz``.
        files: file or folder of Alexandria, for the sets of Hoffmann, or another table with the
            columns of the source.

    Raises:
        InputError: there is no such set, or its source cannot be read.
    """
    if name not in SETS:
        raise unknown("data set of a paper", name, SETS)
    made = SETS[name]
    table = read_table(_source(name, made, files))
    total = len(table)
    spec = PropertySpec(name="target", unit=made.unit, source=made.source)
    table = derive(table, [f"target = {made.formula}"], {"target": made.unit})
    if made.condition:
        table = where(table, made.condition)
    known = np.isfinite(table.values["target"])
    table = table.select(known).with_dropped(table.dropped)
    rows = table.row_numbers if len(table) == total else np.arange(len(table))
    table = replace(
        table,
        values={"target": table.values["target"]},
        properties={"target": _described(spec, name, made)},
        source_rows=rows,
    )
    if made.rows is not None and len(table) != made.rows:
        logger.warning(
            "%s has %d rows here, %d in the paper (%d of the source cannot be used); splits by row "
            "number fit only where no row is missing.",
            *(name, len(table), made.rows, len(table.dropped)),
        )
    if made.note:
        logger.info("%s: %s.", name, made.note)
    return table


def _described(spec: PropertySpec, name: str, made: PaperSet) -> PropertySpec:
    functional = name.partition(":")[2].partition("_")[0]
    known = FUNCTIONALS.get(functional, "") if made.source == "alexandria" else ""
    return spec.model_copy(update={"label": name, "functional": known})


def _source(name: str, made: PaperSet, files: str | Path | None) -> str:
    if made.source != "alexandria":
        return made.source if files is None else str(files)
    functional = name.partition(":")[2].partition("_")[0]
    if files is None:
        raise InputError(
            f"{name!r} needs files of Alexandria with {functional.upper()}; get them from "
            f"{ALEXANDRIA}, and name the file or folder with --from."
        )
    return f"alexandria:{functional}@{files}"
