"""Formulas over the properties of a table; nothing but arithmetic can stand in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError, suggestion

LONGEST = 2000
"""Characters of a formula."""
SHOWN = 80
"""Characters of a formula that a message repeats."""
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "log1p": np.log1p,
    "min": lambda *parts: reduce(np.minimum, parts),
    "max": lambda *parts: reduce(np.maximum, parts),
    "mean": lambda *parts: sum(parts) / len(parts),
}
SEVERAL = frozenset({"min", "max", "mean"})
"""Functions of more than one argument."""
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.power,
}
_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_QUOTED = re.compile(r"`([^`]+)`")
_ASSIGNMENT = re.compile(r"\s*(?:`([^`]+)`|([^=<>!`]+?))\s*=(?!=)(.*)", re.DOTALL)


def evaluate(
    formula: str,
    columns: Mapping[str, np.ndarray],
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> np.ndarray:
    """Return the value of a formula in every row.

    Allowed are numbers, names of columns (in backticks where they hold blanks or signs), ``+ - * /
    **``, comparisons, ``and``, ``or``, ``not``, brackets, and the functions of `FUNCTIONS`.

    Args:
        formula: as ``"(exx + eyy + ezz) / 3"`` or ``"gap > 0.1 and `n sites` < 20"``.
        columns: name -> (B,) values.
        classes: name -> the words for which the values 0, 1, ... of a class stand.

    Returns:
        (B,) float64, or bool for a condition; comparisons with values that are not known are false.

    Raises:
        InputError: it holds something else, or the name of no column.

    >>> evaluate("(`e x` + b) / 2 > 1.5", {"e x": np.array([1.0, 3.0]), "b": np.array([1.0, 1.0])})
    array([False,  True])
    """
    names: list[str] = []

    def placeholder(found: re.Match[str]) -> str:
        names.append(found.group(1))
        return f" quoted_{len(names) - 1}_ "

    if len(formula) > LONGEST:
        raise InputError(f"The formula has {len(formula)} characters; allowed: {LONGEST}.")
    text = _QUOTED.sub(placeholder, formula)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = " (compare with ==)" if re.search(r"(?<![=<>!])=(?!=)", text) else ""
        raise InputError(f"The formula {formula[:SHOWN]!r} is not understood{hint}.") from error
    known = dict(columns) | {f"quoted_{i}_": name for i, name in enumerate(names)}
    walker = _Walker(formula, columns, classes or {}, known)
    with np.errstate(all="ignore"):
        try:
            value = walker.value(tree.body)
        except RecursionError as error:
            raise InputError("The formula is nested too deeply; write it shorter.") from error
    n = len(next(iter(columns.values()), []))
    return np.broadcast_to(np.asarray(value), (n,)).copy()


def split_assignment(text: str) -> tuple[str, str]:
    """Return ``(name, formula)`` of ``name = formula``.

    Raises:
        InputError: there is no equals sign with a name before it.

    >>> split_assignment("e = (exx + eyy + ezz)/3")
    ('e', '(exx + eyy + ezz)/3')
    """
    found = _ASSIGNMENT.fullmatch(text)
    if found is None or not found.group(3).strip():
        raise InputError(f"{text!r} must be NAME = FORMULA, for example 'e = (exx + eyy + ezz)/3'.")
    return (found.group(1) or found.group(2)).strip(), found.group(3).strip()


class _Walker:
    """Computes the parts of one formula."""

    def __init__(
        self,
        formula: str,
        columns: Mapping[str, np.ndarray],
        classes: Mapping[str, tuple[str, ...]],
        known: Mapping[str, Any],
    ) -> None:
        self.formula = formula if len(formula) <= SHOWN else formula[:SHOWN] + "..."
        self.columns, self.classes, self.known = columns, classes, known

    def value(self, node: ast.expr) -> Any:  # noqa: PLR0911 - one per kind of node
        is_number = isinstance(node, ast.Constant) and type(node.value) in {int, float}
        if is_number and isinstance(node, ast.Constant):
            return self._number(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self.columns[self._name(node)]
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](self.value(node.left), self.value(node.right))
        if isinstance(node, ast.UnaryOp):
            inner = self.value(node.operand)
            if isinstance(node.op, ast.Not):
                return np.logical_not(self._condition(inner))
            return -inner if isinstance(node.op, ast.USub) else +inner
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(self.value(part)) for part in node.values]
            joined = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return reduce(joined, parts)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self._refused(ast.unparse(node))

    def _number(self, value: float) -> np.float64:
        try:
            return np.float64(value)
        except OverflowError as error:
            raise self._refused("a number that is too large") from error

    def _name(self, node: ast.Name) -> str:
        name = self.known.get(node.id) if node.id.startswith("quoted_") else node.id
        name = node.id if not isinstance(name, str) else name
        if name not in self.columns:
            allowed = ", ".join(list(self.columns)[:20])
            raise InputError(
                f"The formula {self.formula!r} names {name!r}, but the columns are: {allowed}."
                f"{suggestion(name, self.columns)}"
            )
        return name

    def _comparison(self, node: ast.Compare) -> Any:
        parts = [node.left, *node.comparators]
        found: Any = np.True_
        for one, operator, two in zip(parts[:-1], node.ops, parts[1:], strict=True):
            if type(operator) not in _COMPARISONS:
                raise self._refused(ast.unparse(node))
            left, right = self._word_or_value(one, two), self._word_or_value(two, one)
            # A value that is not known is different from nothing.
            known = np.isfinite(left) & np.isfinite(right)
            found = found & _COMPARISONS[type(operator)](left, right) & known
        return found

    def _word_or_value(self, node: ast.expr, other: ast.expr) -> Any:
        """Return a value; a word that is compared with a class becomes its code."""
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            return self.value(node)
        words = self.classes.get(self._name(other), ()) if isinstance(other, ast.Name) else ()
        if node.value not in words:
            raise InputError(
                f"The formula {self.formula!r} compares with {node.value!r}; allowed are the "
                f"classes of a column{': ' + ', '.join(words) if words else ''}."
            )
        return np.float64(words.index(node.value))

    def _call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS:
            raise InputError(
                f"The formula {self.formula!r} calls {name!r}; allowed: {', '.join(FUNCTIONS)}."
                f"{suggestion(name, FUNCTIONS)}"
            )
        several = name in SEVERAL
        if node.keywords or not node.args or (len(node.args) > 1 and not several):
            raise self._refused(ast.unparse(node))
        return FUNCTIONS[name](*(self.value(argument) for argument in node.args))

    def _condition(self, value: Any) -> Any:
        if np.asarray(value).dtype != bool:
            raise InputError(
                f"The formula {self.formula!r} joins something that is no comparison by and, or, "
                "not; compare it with a number."
            )
        return value

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"The formula {self.formula!r} holds {what[:60]}; allowed are numbers, columns, "
            f"+ - * / **, comparisons, and, or, not, and {', '.join(FUNCTIONS)}."
        )
