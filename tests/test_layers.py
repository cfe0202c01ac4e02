"""A module imports only from lower layers or from its own folder, lazily or not."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "epitaxy"
LAYERS = {
    "core": 0,
    "structures": 1,
    "results": 1,
    "graphs": 2,
    "descriptors": 2,
    "reports": 2,
    "nn": 3,
    "batches": 3,
    "models": 4,
    "checkpoints": 5,
    "transfer": 5,
    "training": 6,
    "evaluation": 7,
    "recipes": 8,
    "fitting": 9,
    "studies": 9,
    "cli": 10,
    "": 11,  # the package itself and `python -m epitaxy`
}
DATA_ONLY = {"zoo"}
TORCH_FREE = {"core", "structures", "results", "graphs", "reports"}
TORCH_LIBRARIES = {"torch", "lightning_fabric", "safetensors.torch"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(path: Path) -> list[str]:
    """Every module that a file names in an import statement or in a registry line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(path, node)
            names = [f"{base}.{alias.name}" for alias in node.names]
            found += names if base == "epitaxy" else [base]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += re.findall(r"\A(epitaxy(?:\.\w+)+):\w+\Z", node.value)
    return found


def absolute(path: Path, node: ast.ImportFrom) -> str:
    """Resolve a relative import to a full module name."""
    package = ("epitaxy", *path.relative_to(PACKAGE).parent.parts)
    parents = package[: len(package) - node.level + 1] if node.level else ()
    return ".".join([*parents, *([node.module] if node.module else [])])


def folder_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def complaint(folder: str, module: str) -> str | None:
    """Say why a file of ``folder`` may not import ``module``, or None."""
    if folder in TORCH_FREE and any(f"{module}.".startswith(f"{t}.") for t in TORCH_LIBRARIES):
        return f"{folder}/ works without torch"
    package, target, *_ = [*module.split("."), ""]
    if package != "epitaxy":
        return None
    if folder and target not in LAYERS.keys() - {""}:
        return "import from the module that defines the name, not from the package root"
    allowed = folder == target or LAYERS[target] < LAYERS[folder]
    return None if allowed else f"{target}/ is not below {folder}/"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    folder = folder_of(path)
    if folder in DATA_ONLY:
        assert not [m for m in imported_modules(path) if m.startswith("epitaxy")]
        return
    assert folder in LAYERS, f"give {folder}/ a layer here and in docs/architecture.md"
    complaints = {m: why for m in imported_modules(path) if (why := complaint(folder, m))}
    assert not complaints


def test_the_table_in_the_documentation_is_this_one():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)/` \|", text, flags=re.MULTILINE)
    assert {folder: int(layer) for layer, folder in rows} == {k: v for k, v in LAYERS.items() if k}


@pytest.mark.parametrize(
    ("folder", "module", "allowed"),
    [
        ("batches", "epitaxy.nn.norm", False),
        ("nn", "epitaxy.batches.batch", False),
        ("graphs", "epitaxy.reports.page", False),
        ("structures", "epitaxy.graphs.recipe", False),
        ("core", "epitaxy", False),
        ("reports", "torch.nn", False),
        ("models", "torch.nn", True),
        ("cli", "epitaxy.recipes.train", True),
    ],
)
def test_the_rule_itself(folder, module, allowed):
    assert (complaint(folder, module) is None) == allowed


def test_imports_of_every_kind_are_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / "graphs" / "x.py"
    path.parent.mkdir()
    path.write_text(
        "import epitaxy.a\nfrom epitaxy import b\nfrom . import c\nfrom ..nn import d\n"
        "if TYPE_CHECKING:\n    from epitaxy.e import E\n"
        "def f():\n    import epitaxy.g\nTABLE = {'h': 'epitaxy.h:H'}\n"
    )
    expected = {"a", "b", "graphs", "nn", "e", "g", "h"}
    assert set(imported_modules(path)) == {f"epitaxy.{name}" for name in expected}
