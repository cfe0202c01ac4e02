"""Explicit tables of named components, imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from epitaxy.core.errors import unknown


class Registry(Mapping[str, Any]):
    """A read-only table ``name -> "module:attribute"`` whose entries are imported on first use.

    >>> maths = Registry("function", {"sqrt": "math:sqrt"})
    >>> maths["sqrt"](9.0)
    3.0
    >>> maths["sqr"]
    Traceback (most recent call last):
    ...
    epitaxy.core.errors.InputError: Unknown function 'sqr'; allowed: sqrt. Did you mean 'sqrt'?
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self.table = dict(table)

    def __getitem__(self, name: str) -> Any:
        if name not in self.table:
            raise unknown(self.kind, name, self.table)
        module, _, attribute = self.table[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, name: object) -> bool:
        return name in self.table
