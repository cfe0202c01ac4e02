"""The one reader of JSON and of YAML: whatever stands in a file, it ends soon, or with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

DEEPEST = 64
"""Lists and mappings inside each other."""
LONGEST_NUMBER = 40
"""Characters of a whole number."""
LARGEST = 128 << 20
"""Bytes of a JSON file that is no table of data."""
LARGEST_YAML = 512 << 10
"""Bytes of a YAML file; YAML is read a thousand times slower than JSON."""
MOST_VALUES = 100_000
"""Values of a YAML file, those that are repeated by name counted every time."""
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Halves of characters that take two code units."""
FAULTS = (
    *(yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
    RecursionError,
)
"""What constructing YAML can raise."""


def read_bytes(path: str | Path, largest: int = LARGEST) -> bytes:
    """Return the content of a file that should be small.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``largest`` bytes; a device has no end.
    """
    with Path(path).open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it has more than {largest:,} bytes")
    return content


def read_json(path: str | Path, largest: int = LARGEST) -> Any:
    """Read a JSON file in UTF-8, see `parse_json`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or as `parse_json`; the message says why.
    """
    return parse_json(read_bytes(path, largest))


def parse_json(text: str | bytes) -> Any:
    """Turn JSON into Python objects.

    Raises:
        ValueError: it is no JSON, is nested more than `DEEPEST` deep, or holds a whole number of
            more than `LONGEST_NUMBER` characters; the message is the reason.

    >>> parse_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    >>> parse_json("[" * 1000 + "]" * 1000)
    Traceback (most recent call last):
    ...
    ValueError: it is nested more than 64 deep
    """
    try:
        found = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    written = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if _HALF.search(written):
        json.dumps(found, ensure_ascii=False).encode()  # half a character cannot be written
    level, depth = [found], 0
    while level := [node for node in level if isinstance(node, list | dict)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(_too_deep())
        level = [
            part
            for node in level
            for part in (node.values() if isinstance(node, dict) else node)
            if isinstance(part, list | dict)
        ]
    return found


def read_yaml(path: str | Path, *, scientific: bool = False) -> Any:
    """Read a YAML file in UTF-8, see `parse_yaml`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or as `parse_yaml`; the message says why.
    """
    text = read_bytes(path, LARGEST_YAML).decode("utf-8-sig")
    return parse_yaml(text, scientific=scientific)


def parse_yaml(text: str, *, scientific: bool = False) -> Any:
    """Turn YAML into plain Python objects; a key that stands twice is an error.

    Args:
        text: the YAML.
        scientific: read ``1e-3`` as a number, as people mean it; YAML wants ``1.0e-3``.

    Raises:
        ValueError: it is no YAML, is nested more than `DEEPEST` deep, contains itself, has more
            than `MOST_VALUES` values or an overlong number; the message is the reason in one line.

    >>> parse_yaml("rate: 1e-3", scientific=True)
    {'rate': 0.001}
    >>> parse_yaml("a: &a [*a]")
    Traceback (most recent call last):
    ...
    ValueError: it contains itself
    """
    try:
        loader = (_Scientific if scientific else _Loader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        size, _ = _extent(node, {})
        if size > MOST_VALUES:
            raise ValueError(f"it has {size:,} values, and at most {MOST_VALUES:,} are read")
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    except FAULTS as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _too_deep() -> str:
    return f"it is nested more than {DEEPEST} deep"


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)


def _extent(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Return number and depth of the values below a node, with all that it names written out.

    Raises:
        ValueError: it contains itself, is too deep, or holds an overlong number.
    """
    if isinstance(node, yaml.ScalarNode):
        node.value.encode()  # half a character cannot be written
        if node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"it holds a number of {len(node.value):,} characters")
        return 1, 0
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise ValueError("it contains itself")
        return found
    known[id(node)] = None
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in parts for part in pair]
    below = [_extent(part, known) for part in parts]
    found = 1 + sum(size for size, _ in below), 1 + max((depth for _, depth in below), default=0)
    if found[1] > DEEPEST:
        raise ValueError(_too_deep())
    known[id(node)] = found
    return found


class _Loader(yaml.SafeLoader):
    """The safe loader, but a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                line = key.start_mark.line + 1
                raise ValueError(f"the key {key.value!r} stands twice, again in line {line}")
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Scientific(_Loader):
    """The same, and 1e-3 is a number."""


_Scientific.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+\Z"), list("-+0123456789")
)
