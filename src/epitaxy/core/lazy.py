"""A mapping whose values are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Lazy(Mapping[str, T], Generic[T]):
    """Read-only; a value that nobody asks for costs nothing.

    >>> squares = Lazy({"two": lambda: 2**2})
    >>> squares["two"]
    4
    """

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def mapped(values: Mapping[str, T], change: Callable[[T], S]) -> Lazy[S]:
    """Return the changed values; each is changed when it is first asked for.

    >>> mapped({"a": 1}, lambda number: number + 1)["a"]
    2
    """

    def value(name: str) -> S:
        return change(values[name])

    return Lazy({name: partial(value, name) for name in values})
