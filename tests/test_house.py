"""House rules that no linter knows: sizes, safety, error sentences, quiet import, registries."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import epitaxy
from epitaxy.core.registry import Registry

PACKAGE = Path(epitaxy.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))

FILE_LINES, FUNCTION_LINES, NESTING = 400, 60, 4
BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
UNSAFE = re.compile(r"\bpickle\.loads?\b|\bweights_only\s*=\s*False|\bstrict\s*=\s*False")
WITHOUT_TEXT = {"KeyError", "IndexError", "StopIteration", "NotImplementedError", "Exit"}
"""What may be raised without a sentence: protocols of Python, and the end of a command."""
ONE_FILE_PER_LINE = {
    "epitaxy.graphs.rules",
    "epitaxy.structures.sources",
    "epitaxy.reports.figures",
    "epitaxy.studies.executors",
    "epitaxy.transfer.strategies",
}
"""Folders in which every file has its line in a registry."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def code_lines(source: list[str], node: ast.AST) -> int:
    """Count the lines of a function that are neither empty, comment nor docstring."""
    lines = [line.strip() for line in source[node.lineno - 1 : node.end_lineno]]
    docstring = ast.get_docstring(node, clean=False)
    described = len([x for x in docstring.splitlines() if x.strip()]) if docstring else 0
    return sum(bool(line) and not line.startswith("#") for line in lines) - described


def nesting(node: ast.AST, depth: int = 0) -> int:
    """Depth of the deepest block; an ``elif`` counts like the ``if`` it belongs to."""
    deepest = depth
    for name, value in ast.iter_fields(node):
        children = [c for c in (value if isinstance(value, list) else [value]) if c is not None]
        chained = isinstance(node, ast.If) and name == "orelse" and len(children) == 1
        for child in children:
            if isinstance(child, ast.AST) and not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                deeper = isinstance(child, BLOCKS) and not (chained and isinstance(child, ast.If))
                deepest = max(deepest, nesting(child, depth + deeper))
    return deepest


@EACH_FILE
def test_sizes(path):
    source = path.read_text(encoding="utf-8").splitlines()
    assert len(source) <= FILE_LINES
    for node in ast.walk(parsed(path)):
        if isinstance(node, FUNCTIONS):
            assert code_lines(source, node) <= FUNCTION_LINES, node.name
            assert nesting(node) <= NESTING, node.name


@EACH_FILE
def test_nothing_is_executed_ignored_or_printed(path):
    assert not UNSAFE.findall(path.read_text(encoding="utf-8"))
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}: log it or return it"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: say which error is meant"
            broad = getattr(node.type, "id", "") in {"Exception", "BaseException"}
            silent = all(isinstance(s, (ast.Pass, ast.Continue)) for s in node.body)
            assert not (broad and silent), f"line {node.lineno} swallows every error"


def missing_sentence(node: ast.Raise) -> str | None:
    """Name the exception class that is raised without any text."""
    error = node.exc
    call = isinstance(error, ast.Call)
    target = error.func if call else error
    name = getattr(target, "id", getattr(target, "attr", ""))
    is_class = name[:1].isupper() and name not in WITHOUT_TEXT
    return name if is_class and not (call and (error.args or error.keywords)) else None


@EACH_FILE
def test_errors_carry_a_sentence(path):
    raised = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Raise) and node.exc]
    assert not [f"line {n.lineno}: {name}" for n in raised if (name := missing_sentence(n))]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("raise ValueError", "ValueError"),
        ("raise ValueError()", "ValueError"),
        ("raise errors.InputError()", "InputError"),
        ("raise InputError(f'{x} is wrong')", None),
        ("raise unknown(x)", None),
        ("raise error", None),
        ("raise StopIteration", None),
    ],
)
def test_the_sentence_rule_itself(code, name):
    assert missing_sentence(ast.parse(code).body[0]) == name


def test_nesting_is_counted_like_a_reader_does():
    chain = "  if a:\n   p\n  elif b:\n   p\n  elif c:\n   with d:\n    p\n"
    code = "def f():\n for x in y:\n" + chain
    assert nesting(ast.parse(code).body[0]) == 3


def test_importing_the_library_is_quick_and_brings_no_torch():
    code = (
        "import sys, time; start = time.perf_counter(); import epitaxy\n"
        "seconds = time.perf_counter() - start\n"
        "heavy = {'torch', 'matplotlib', 'pymatgen', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'{seconds:.2f} s, {heavy}' if heavy or seconds > 2 else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def registries() -> dict[str, Registry]:
    """Find the registry tables of all modules."""
    found = {}
    for info in pkgutil.walk_packages([str(PACKAGE)], "epitaxy."):
        if info.name.endswith(".__main__"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, Registry):
                found.setdefault(id(value), (f"{info.name}.{name}", value))
    return dict(found.values())


def test_every_registry_entry_can_be_imported():
    tables = registries()
    assert len(tables) >= len(ONE_FILE_PER_LINE)
    for where, table in tables.items():
        for name in table:
            entry = table[name]
            # Functions and classes, or families of candidates, which propose them.
            assert callable(entry) or callable(entry.propose), f"{where}[{name!r}]"


@pytest.mark.parametrize("package", sorted(ONE_FILE_PER_LINE))
def test_files_and_registry_lines_match(package):
    listed = {
        entry.partition(":")[0]
        for table in registries().values()
        for entry in table.table.values()
        if entry.startswith(f"{package}.")
    }
    folder = Path(importlib.import_module(package).__file__).parent
    files = {f"{package}.{p.stem}" for p in folder.glob("*.py") if not p.stem.startswith("_")}
    assert files == listed
