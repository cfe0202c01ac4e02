"""The text of a CIF file as data blocks of items and loops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from epitaxy.structures.building import UnusableError

_TOKEN = re.compile(
    r"^;(?P<text>.*?)^;"
    r"|#[^\n]*"
    r"|'(?P<single>[^\n]*?)'(?=\s|\Z)"
    r'|"(?P<double>[^\n]*?)"(?=\s|\Z)'
    r"|(?P<word>[^\s]+)",
    re.MULTILINE | re.DOTALL,
)
UNKNOWN = frozenset({"?", ".", ""})
_UNCERTAINTY = re.compile(r"\(\d*\)$")


@dataclass
class Block:
    """One data block; tags are in lower case and dots in them are underscores."""

    name: str
    items: dict[str, str] = field(default_factory=dict)
    loops: list[dict[str, list[str]]] = field(default_factory=list)
    ragged: list[str] = field(default_factory=list)
    """First tags of loops whose values do not fill their rows."""

    def text(self, *tags: str) -> str | None:
        """Return the first of some items that says something (``?`` and ``.`` say nothing)."""
        for tag in tags:
            value = self.items.get(tag)
            if value is None:
                column = self.column(tag)
                value = column[0] if column and len(column) == 1 else None
            if value is not None and value.strip() not in UNKNOWN:
                return value.strip()
        return None

    def column(self, *tags: str) -> list[str] | None:
        """Return the column of a loop called like one of the tags."""
        for tag in tags:
            for loop in self.loops:
                if tag in loop:
                    return loop[tag]
        return None

    def table(self, prefix: str) -> dict[str, list[str]]:
        """Return all columns and single items whose tag begins with ``prefix``, as columns.

        Raises:
            UnusableError: the values of such a loop do not fill its rows.
        """
        broken = [tag for tag in self.ragged if tag.startswith(prefix)]
        if broken:
            raise UnusableError(
                f"unreadable CIF: the values of the loop of {broken[0]} do not fill its rows"
            )
        for loop in self.loops:
            found = {tag: cells for tag, cells in loop.items() if tag.startswith(prefix)}
            if found:
                return found
        return {tag: [value] for tag, value in self.items.items() if tag.startswith(prefix)}

    @property
    def is_structure(self) -> bool:
        """Whether the block speaks of a cell or of atom sites at all."""
        tags = [*self.items, *(tag for loop in self.loops for tag in loop), *self.ragged]
        return any(tag.startswith(("_cell_length", "_atom_site_fract")) for tag in tags)


def read_blocks(text: str) -> list[Block]:
    r"""Split a CIF file into its data blocks.

    >>> block, = read_blocks("data_x\n_cell.length_a 4.1(2)\nloop_\n_a\n_b\n1 'two 2'\n")
    >>> block.items, block.loops
    ({'_cell_length_a': '4.1(2)'}, [{'_a': ['1'], '_b': ['two 2']}])
    """
    blocks: list[Block] = []
    tag, loop_tags, loop_values = "", [], []  # type: str, list[str], list[str]

    def close_loop() -> None:
        if loop_tags and blocks:
            _add_loop(blocks[-1], loop_tags, loop_values)
        loop_tags.clear()
        loop_values.clear()

    in_header = False
    for value, quoted in _tokens(text.replace("\r\n", "\n").replace("\r", "\n")):
        lower = "" if quoted else value.lower()
        if lower.startswith(("data_", "save_", "global_", "loop_", "stop_")):
            close_loop()
            tag, in_header = "", lower == "loop_"
            if lower.startswith("data_"):
                blocks.append(Block(value[5:]))
        elif lower.startswith("_"):
            name = lower.replace(".", "_")
            if in_header:
                loop_tags.append(name)
            else:
                close_loop()
                tag = name
        elif loop_tags:
            in_header = False
            loop_values.append(value)
        elif tag and blocks:
            blocks[-1].items.setdefault(tag, value)
            tag = ""
    close_loop()
    return blocks


def to_float(text: str) -> float | None:
    """Return a number without its uncertainty, None where there is none.

    >>> to_float("5.64(3)"), to_float("?"), to_float("1/3")
    (5.64, None, None)
    """
    try:
        return float(_UNCERTAINTY.sub("", text.strip()))
    except ValueError:
        return None


def _add_loop(block: Block, tags: list[str], values: list[str]) -> None:
    if len(values) % len(tags):
        block.ragged += tags
        return
    block.loops.append({tag: values[i :: len(tags)] for i, tag in enumerate(tags)})


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Yield ``(value, whether it stood in quotes or a text field)``."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind is not None:
            yield found.group(kind), kind != "word"
