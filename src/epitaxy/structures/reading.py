"""From whatever the user names to a `StructureTable`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.core.errors import InputError, suggestion
from epitaxy.structures.archives import PACKED, is_archive, unpacked
from epitaxy.structures.building import (
    Crystal,
    Reading,
    TableBuilder,
    UnusableError,
    snapshot_id,
)
from epitaxy.structures.file_batches import parse_all
from epitaxy.structures.parsing import (
    Part,
    is_structure_file,
    read_text,
    unpacked_name,
    without_suffix,
)
from epitaxy.structures.sources import SOURCES
from epitaxy.structures.sources.folder import SHEETS, numbered_parts, structure_files
from epitaxy.structures.table import Dropped, StructureTable
from epitaxy.structures.units import split_header

logger = logging.getLogger("epitaxy")
FRAMES = (".xyz", ".extxyz")
HEAD_BYTES = 1 << 20
CONSTANT = (
    "Property %r is %g in all %d rows: a model can only learn this number, and its error "
    "says nothing."
)
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "tabular",
    ".tsv": "tabular",
    ".txt": "tabular",
    ".dat": "tabular",
    ".jsonl": "tabular",
    ".ndjson": "tabular",
    ".db": "ase",
    ".xyz": "xyz",
    ".extxyz": "xyz",
}
"""Ending of a file -> source; JSON files are told apart by their content."""


class Named(NamedTuple):
    """A crystal with the id that it has where no other crystal has it."""

    name: str
    full: str
    """Id with its path."""
    crystal: Crystal


def read_table(
    data: str | Path | StructureTable,
    *,
    target: str | Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> StructureTable:
    """Read crystals and their properties from a file, a folder or a named source.

    Args:
        data: a Parquet, CSV, TSV, JSON, ASE or extended XYZ file, a folder of structure files with
            a CSV, a named source (``matminer:NAME``), or a table, which is returned as it is.
        target: the properties to keep, all when None.
        units: property -> unit, for example ``{"gap": "eV"}``.
        labels: property -> words for axes.

    Raises:
        InputError: the source cannot be read, holds no usable crystal, or lacks a target.
    """
    wanted = (target,) if isinstance(target, str) else tuple(target or ())
    if isinstance(data, StructureTable):
        reading = Reading(data)
    else:
        reading = read_source(str(data))
        _log(str(data), reading)
    table = _select_targets(reading, wanted)
    return _describe(table, units or {}, labels or {})


def read_structures(paths: Sequence[str | Path]) -> StructureTable:
    """Read crystals for prediction from files, folders and tables; labels are not needed.

    What cannot be read is listed in ``dropped`` with its reason. Ids are file names without ending;
    where two are equal, both become the path.

    Raises:
        InputError: ``paths`` is empty, or nothing can be used.
    """
    builder = TableBuilder(", ".join(repr(str(p)) for p in paths[:3]))
    if not paths:
        raise InputError("No structures were given; name files, folders or tables of structures.")
    found: list[Named] = []
    files: list[Path] = []
    shown: list[str] = []
    with ExitStack() as stack:
        for path in map(Path, paths):
            frames = path.suffix.lower() in FRAMES
            if path.is_file() and is_archive(path):
                inside = _unpacked(path, stack, builder)
                files += inside
                shown += [f"{path}:{file.name}" for file in inside]
            elif path.is_dir() or (path.is_file() and is_structure_file(path) and not frames):
                files += (inside := _files_of(path, builder))
                shown += map(str, inside)
            else:
                found += _rows_of(str(path), builder)
        for path, name, parts in zip(files, shown, parse_all(files), strict=True):
            found += _named_parts(path, name, parts, builder)
    times = Counter(one.name for one in found)
    for row, one in enumerate(found):
        builder.add(one.full if times[one.name] > 1 else one.name, row, one.crystal, {})
    reading = builder.build()
    for note in reading.notes:
        logger.warning("%s", note)
    logger.info("%d structures read, %d dropped.", len(reading.table), len(reading.table.dropped))
    return reading.table


def read_source(data: str) -> Reading:
    """Read ``data`` by the source that `recognise` finds.

    Raises:
        InputError: nothing of that name exists, or the source cannot read it.
    """
    name, location = recognise(data)
    found: Reading | StructureTable = SOURCES[name](location)
    return Reading(found) if isinstance(found, StructureTable) else found


def recognise(data: str) -> tuple[str, str]:
    """Return ``(source, location)`` of what the user named.

    >>> recognise("matminer:matbench_phonons")
    ('matminer', 'matbench_phonons')

    Raises:
        InputError: nothing of that name exists, or the kind of file is not known.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return "folder", str(path)
    if path.is_file():
        return _recognise_file(path), str(path)
    prefix, _, rest = data.partition(":")
    if prefix in SOURCES:
        return prefix, rest
    near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError(
        f"There is no file or folder {data!r} and no source of that name; give a table, a folder, "
        f"or NAME:SET with NAME one of {', '.join(sorted(SOURCES))}."
        f"{suggestion(path.name, near) or suggestion(prefix, SOURCES)}"
    )


def _recognise_file(path: Path) -> str:
    suffix = Path(unpacked_name(path.name).lower()).suffix
    if is_archive(path):
        return "archive"
    if suffix in SHEETS:
        raise InputError(
            f"{str(path)!r} is a spreadsheet; save the sheet as CSV and give that file."
        )
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"SQLite format 3"):
        return "ase"
    if head.startswith(b"PAR1"):
        return "parquet"
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    packed = path.suffix.lower() in PACKED
    if suffix == ".json":
        return _recognise_json(path)
    if is_structure_file(path):
        raise InputError(
            f"{str(path)!r} is a single structure; give the folder of structures with a CSV of "
            "values, or use it for prediction."
        )
    if packed:
        return _recognise_json(path)
    raise InputError(
        f"The kind of {str(path)!r} is not known by its ending {path.suffix!r}; allowed: "
        f"{', '.join([*SUFFIXES, '.json'])} (also .gz, .bz2 and .zip), or a folder."
    )


def _recognise_json(path: Path) -> str:
    text = read_text(path)
    if '"nextid"' in text[-4096:] and text.lstrip().startswith("{"):
        return "ase"
    if text.lstrip().startswith("[") and '"lattice_mat"' in text[:HEAD_BYTES]:
        return "jarvis_json"
    if '"ComputedStructureEntry"' in text[:HEAD_BYTES]:
        return "alexandria"
    return "tabular"


def _select_targets(reading: Reading, wanted: Sequence[str]) -> StructureTable:
    """Keep the wanted properties; a column without a name takes the name that is asked for."""
    table = reading.table
    if not wanted:
        return table
    only = list(table.values)
    wanted = [name if name in only else _without_unit(name, reading) for name in wanted]
    if reading.unnamed and len(wanted) == 1 and wanted[0] not in only:
        for reason in reading.refused.values():
            raise InputError(reason)
        if len(only) == 1:
            spec = table.properties[only[0]].model_copy(update={"name": wanted[0]})
            values = {wanted[0]: table.values[only[0]]}
            table = replace(table, values=values, properties={wanted[0]: spec})
    for name in wanted:
        if name in reading.refused:
            raise InputError(reading.refused[name])
        column = table.column(name)
        if classes := table.properties[name].classes:
            raise InputError(
                f"Property {name!r} is a class ({', '.join(classes[:5])}), and regression needs "
                "numbers; if a regression on 0 and 1 is meant, write 0 and 1 into the column."
            )
        known = column[np.isfinite(column)]
        if len(known) > 1 and np.ptp(known) == 0:
            logger.warning(CONSTANT, name, known[0], len(known))
    return replace(
        table,
        values={name: table.values[name] for name in wanted},
        properties={name: table.properties[name] for name in wanted},
    )


def _without_unit(name: str, reading: Reading) -> str:
    """Return the property that a header such as ``gap (eV)`` means."""
    bare = reading.headers.get(name, split_header(name)[0])
    return bare if bare in reading.table.values or bare in reading.refused else name


def _describe(
    table: StructureTable, units: Mapping[str, str], labels: Mapping[str, str]
) -> StructureTable:
    """Write units and labels into the property specifications."""
    specs = dict(table.properties)
    for key, given in (("unit", units), ("label", labels)):
        for name, text in given.items():
            if name not in specs:
                raise InputError(
                    f"A {key} was given for {name!r}, but the table has: {', '.join(specs)}."
                    f"{suggestion(name, specs)}"
                )
            specs[name] = specs[name].model_copy(update={key: text})
    return replace(table, properties=specs)


def _log(data: str, reading: Reading) -> None:
    table = reading.table
    for note in reading.notes:
        logger.info("%s", note)
    logger.info(
        "%s: %d crystals, %d dropped%s; properties: %s.",
        data,
        len(table),
        len(table.dropped),
        f" (first {table.dropped[0].id!r}: {table.dropped[0].reason})" if table.dropped else "",
        ", ".join(table.values) or "none",
    )


def _file_id(path: Path) -> str:
    bare = path.name.lower() in {"poscar", "contcar"}
    return path.resolve().parent.name if bare else without_suffix(path.name)


def _files_of(path: Path, builder: TableBuilder) -> list[Path]:
    if path.is_file():
        return [path]
    try:
        files, broken = structure_files(path)
    except InputError as error:
        builder.dropped.append(Dropped(str(path), str(error).rstrip(".")))
        return []
    builder.dropped += broken
    return files


def _unpacked(path: Path, stack: ExitStack, builder: TableBuilder) -> list[Path]:
    try:
        folder, left_out = stack.enter_context(unpacked(path))
    except InputError as error:
        builder.dropped.append(Dropped(str(path), str(error).rstrip(".")))
        return []
    builder.dropped += left_out
    return _files_of(folder, builder)


def _named_parts(
    path: Path, shown: str, parts: Sequence[Part], builder: TableBuilder
) -> list[Named]:
    """Return the crystals of one file: ``NAME``, ``NAME#2``, ...; what is unusable is dropped."""
    found = []
    for number, crystal in numbered_parts(parts).items():
        if isinstance(crystal, UnusableError):
            builder.dropped.append(Dropped(shown, str(crystal)))
            continue
        names = (_file_id(path), shown)
        names = names if number == 1 else tuple(snapshot_id(name, number) for name in names)
        found.append(Named(*names, crystal))
    return found


def _rows_of(path: str, builder: TableBuilder) -> list[Named]:
    """Return every row of a table."""
    try:
        table = read_source(path).table
    except InputError as error:
        builder.dropped.append(Dropped(path, str(error).rstrip(".")))
        return []
    builder.dropped += table.dropped
    rows = []
    for row, name in enumerate(table.ids):
        atoms = slice(table.offsets[row], table.offsets[row + 1])
        numbers = table.atomic_numbers[atoms].astype("int64")
        crystal = Crystal(table.lattices[row], numbers, table.frac_coords[atoms])
        rows.append(Named(str(name), f"{path}:{name}", crystal))
    return rows


def convert(
    data: str | Path | StructureTable,
    out: str | Path,
    *,
    target: str | Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> StructureTable:
    """Read anything that `read_table` reads and write it as one Parquet table.

    Raises:
        InputError: as `read_table`; or ``out`` does not end in .parquet.
    """
    if Path(out).suffix.lower() != ".parquet":
        raise InputError(f"The output {str(out)!r} must end in .parquet.")
    table = read_table(data, target=target, units=units, labels=labels)
    table.to_parquet(out)
    return table
