"""Energies of the Materials Project with GGA(+U) or r2SCAN, ``mp:FUNCTIONAL``, by its own client.

A. Jain et al., APL Mater. 1, 011002 (2013). The client takes the key from the environment variable
MP_API_KEY.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from epitaxy.core.errors import InputError, unknown
from epitaxy.structures.building import Crystal, Reading, TableBuilder, UnusableError
from epitaxy.structures.caching import cached
from epitaxy.structures.parsing import crystal_from_object


class Level(NamedTuple):
    """A level of theory as the Materials Project and as others call it."""

    thermo_type: str
    functional: str


LEVELS = {
    "gga": Level("GGA_GGA+U", "PBE(+U)"),
    "r2scan": Level("R2SCAN", "r2SCAN"),
}
LABELS = {
    "formation_energy_per_atom": "Formation energy",
    "energy_above_hull": "Distance to the hull",
    "energy_per_atom": "Corrected total energy",
    "uncorrected_energy_per_atom": "Total energy",
}
"""Fields of the thermo documents, all in eV/atom."""
AT_ONCE = 500
"""Materials that are asked for together."""
FIELDS = ["material_id", "energy_type", "entries", *LABELS]


def read(location: str) -> Reading:
    """Load all materials of a level of theory, ``gga`` or ``r2scan``; kept as Parquet afterwards.

    ``r2scan/Li-O,Fe-*`` restricts the choice to chemical systems.

    Raises:
        InputError: there is no such level, the client is not installed or not allowed in, or no
            crystal can be used.
    """
    name, _, systems = location.partition("/")
    if name not in LEVELS:
        raise unknown("level of theory", name, LEVELS)
    level, chosen = LEVELS[name], [s.strip() for s in systems.split(",") if s.strip()]

    def convert() -> Reading:
        reading = from_documents(_load(level.thermo_type, chosen), f"mp:{location}")
        return reading.described(
            source=f"Materials Project, {level.thermo_type}",
            units=dict.fromkeys(LABELS, "eV/atom"),
            labels=LABELS,
            functionals=dict.fromkeys(LABELS, level.functional),
        )

    return cached(f"mp-{location}", convert)


def from_documents(documents: Iterable[Mapping[str, Any]], origin: str) -> Reading:
    """Turn thermo documents into a table; structures are those of their computed entries.

    Raises:
        InputError: no crystal can be used.
    """
    builder = TableBuilder(origin)
    for row, document in enumerate(documents):
        values = {key: document.get(key) for key in LABELS}
        builder.add(str(document["material_id"]), row, _crystal(document), values)
    return builder.build(notes=[f"{origin}: {len(builder.ids)} materials."])


def _crystal(document: Mapping[str, Any]) -> Crystal | UnusableError:
    """Return the structure of the entry from which the energy comes."""
    entries = document.get("entries") or {}
    entry = entries.get(str(document.get("energy_type"))) or next(iter(entries.values()), None)
    structure = (
        entry.get("structure") if isinstance(entry, Mapping) else getattr(entry, "structure", None)
    )
    if structure is None:
        return UnusableError("the document has no entry with a structure")
    try:
        return crystal_from_object(structure)
    except UnusableError as error:
        return error


def structures_of(ids: Sequence[str], what: str) -> dict[str, Any]:
    """Return the structures of materials by their ids, for as many as there are.

    Args:
        ids: ``mp-149``, ...
        what: for what they are needed, for the message.

    Raises:
        InputError: the client is not installed or not allowed in.
    """
    wanted = list(dict.fromkeys(ids))
    found: dict[str, Any] = {}
    with _client(f"{what} holds no structures; they come by Materials Project id, which") as client:
        for begin in range(0, len(wanted), AT_ONCE):
            documents = client.materials.summary.search(
                material_ids=wanted[begin : begin + AT_ONCE],
                all_fields=False,
                fields=["material_id", "structure"],
            )
            found |= {str(d["material_id"]): d["structure"] for d in documents}
    return found


def _load(thermo_type: str, systems: list[str]) -> list[dict[str, Any]]:
    query: dict[str, Any] = {"chemsys": systems} if systems else {}
    with _client("Reading 'mp:...'") as client:
        found: list[dict[str, Any]] = client.materials.thermo.search(
            thermo_types=[thermo_type], all_fields=False, fields=FIELDS, **query
        )
    return found


@contextmanager
def _client(who: str) -> Iterator[Any]:
    """Give a client of the Materials Project.

    Raises:
        InputError: it is not installed, or a question was not answered.
    """
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise InputError(
            f"{who} needs the package mp-api; install it with pip install 'epitaxy[mp]', and set "
            "MP_API_KEY."
        ) from error
    try:
        with MPRester(use_document_model=False) as client:
            yield client
    except Exception as error:  # the client raises its own, network and value errors alike
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise InputError(
            f"The Materials Project did not answer ({reason}); set MP_API_KEY to the key of your "
            "account, and look whether the network is there."
        ) from error
