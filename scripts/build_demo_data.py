"""Build the shipped demonstration data: the Parquet table and the example CIF files.

Everything comes from ``facts.csv``; running this again changes nothing unless the facts changed.
"""

from __future__ import annotations

from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from epitaxy.core.files import write_text
from epitaxy.structures.demo.compiling import (
    EXAMPLES,
    FOLDER,
    TABLE,
    Fact,
    compile_table,
    read_facts,
)


def cif_text(fact: Fact) -> str:
    """Return the crystal of a fact as the text of a CIF file."""
    crystal = fact.crystal()
    structure = Structure(
        Lattice(crystal.lattice), [int(z) for z in crystal.atomic_numbers], crystal.frac_coords
    )
    return str(CifWriter(structure))


def readme_text(facts: list[Fact]) -> str:
    """Return the page that goes with the example files."""
    lines = [
        f"- `{fact.formula}.cif`: {fact.prototype}, experimental band gap {fact.gap:g} eV"
        for fact in facts
    ]
    head = "Crystals that are not in the demonstration table, with their gaps at room temperature:"
    return "\n".join([head, "", *lines, ""])


def main() -> None:
    """Write the table and the examples beside the facts."""
    facts = read_facts()
    table = compile_table(facts)
    table.to_parquet(TABLE)
    examples = [fact for fact in facts if fact.id in EXAMPLES]
    for fact in examples:
        write_text(FOLDER / "examples" / f"{fact.formula}.cif", cif_text(fact))
    write_text(FOLDER / "examples" / "README.md", readme_text(examples))
    print(f"{TABLE.name}: {len(table)} crystals; examples: {', '.join(EXAMPLES)}")


if __name__ == "__main__":
    main()
