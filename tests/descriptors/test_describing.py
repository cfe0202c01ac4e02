"""What holds for every descriptor, and the file that keeps the vectors."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.descriptors import DESCRIPTORS, packages
from epitaxy.descriptors import table as table_module
from epitaxy.descriptors.table import Described, describe_table, feature_names
from tiny import copper, irregular, isolated, perovskite, rock_salt, table

PACKAGES = {
    "chgnet": ("chgnet", "chgnet"),
    "magpie": ("matminer", "descriptors"),
    "structure": ("matminer", "descriptors"),
}
"""Package that a descriptor needs, and the extra that brings it."""
ROUNDING = {
    "composition": 0.0,
    "magpie": 0.0,
    "geometry": 1e-9,
    "springs": 1e-6,
    "structure": 1e-5,
    "chgnet": 3e-5,
}
"""Largest difference that another order of sums may make: float64, or float32 inside CHGNet."""
CRYSTALS = (rock_salt(), perovskite(), copper(), irregular(1), irregular(2, 3), rock_salt(6.3))


@pytest.fixture(params=sorted(DESCRIPTORS))
def name(request):
    if request.param in PACKAGES:
        package, _ = PACKAGES[request.param]
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    return request.param


def supercell(crystal, times=(2, 1, 1)):
    lattice, numbers, coords = crystal
    shifts = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), -1).reshape(-1, 3)
    moved = (coords[:, None] + shifts).reshape(-1, 3) / times
    return lattice * np.array(times)[:, None], np.repeat(numbers, len(shifts)), moved


def permuted(crystal):
    lattice, numbers, coords = crystal
    order = np.random.default_rng(0).permutation(len(numbers))
    return lattice, numbers[order], coords[order]


def rotated(crystal):
    lattice, numbers, coords = crystal
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    return lattice @ (turn * np.linalg.det(turn)), numbers, coords


def test_the_contract(name):
    crystals = table(CRYSTALS)
    described = describe_table(crystals, name)
    assert isinstance(described, Described)
    assert described.ids.tolist() == crystals.ids.tolist()
    assert described.values.shape == (len(crystals), len(described.names))
    assert described.values.dtype == np.float64
    assert np.isfinite(described.values).all()
    assert described.names == DESCRIPTORS[name].names
    assert len(set(described.names)) == len(described.names)
    assert described.failures == ()


def test_a_crystal_has_its_vector_whatever_else_is_in_the_table(name):
    crystals = table(CRYSTALS)
    values = describe_table(crystals, name).values
    backwards = describe_table(crystals.select([5, 4, 3, 2, 1, 0]), name).values[::-1]
    alone = [describe_table(crystals.select([row]), name).values[0] for row in range(6)]
    np.testing.assert_allclose(backwards, values, rtol=0, atol=ROUNDING[name])
    np.testing.assert_allclose(alone, values, rtol=0, atol=ROUNDING[name])


@pytest.mark.parametrize("change", [supercell, permuted, rotated])
def test_the_same_crystal_written_otherwise_has_the_same_vector(name, change):
    values = describe_table(table(CRYSTALS), name).values
    changed = describe_table(table([change(c) for c in CRYSTALS]), name).values
    np.testing.assert_allclose(changed, values, rtol=ROUNDING[name], atol=ROUNDING[name])


def test_different_compositions_have_different_vectors(name):
    values = describe_table(table([rock_salt(), rock_salt(5.7), perovskite()]), name).values
    assert np.abs(values[0] - values[2]).max() > 1e-3
    structural = name not in {"composition", "magpie"}
    assert (np.abs(values[0] - values[1]).max() > 1e-3) == structural


BROKEN = {
    "no atoms": (np.eye(3) * 4, [], np.zeros((0, 3))),
    "Atomic number 0": (np.eye(3) * 4, [0], np.zeros((1, 3))),
    "Atomic number 101": (np.eye(3) * 4, [101], np.zeros((1, 3))),
    "not a finite number": (np.eye(3) * 4, [29], np.full((1, 3), np.nan)),
    "Å^3": (np.diag([4.0, 4.0, 1e-3]), [29], np.zeros((1, 3))),
    "skewed": (np.array([[4.0, 0, 0], [4e4, 4, 0], [0, 4e4, 4]]), [29], np.zeros((1, 3))),
    "Å apart": (np.eye(3) * 4, [29, 29], np.array([[0, 0, 0], [0, 0, 1e-4]])),
}
"""What the reason says -> a crystal that cannot be described."""


def test_what_cannot_be_described_is_listed_with_its_reason(name):
    crystals = table([rock_salt(), *BROKEN.values(), copper()])
    described = describe_table(crystals, name)
    reasons = dict(described.failures)
    assert set(described.ids) | set(reasons) == set(crystals.ids)
    assert {"c0", f"c{len(BROKEN) + 1}"} <= set(described.ids)
    structural = name not in {"composition", "magpie"}
    for row, said in enumerate(BROKEN, start=1):
        if structural or row <= 3:
            assert said in reasons.pop(f"c{row}")
    assert not reasons
    rest = crystals.select(crystals.rows_of(described.ids))
    np.testing.assert_allclose(
        describe_table(rest, name).values, described.values, rtol=0, atol=ROUNDING[name]
    )


def test_a_table_without_crystals_has_vectors_of_the_same_length(name):
    described = describe_table(table([]), name)
    assert described.values.shape == (0, len(described.names))


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"Unknown descriptor 'compositon'.*'composition'"):
        describe_table(table(), "compositon")


def test_descriptors_side_by_side(tmp_path):
    broken = (np.eye(3) * 4, [29], np.full((1, 3), np.nan))  # has a composition, but no geometry
    crystals = table([broken, rock_salt(), copper()])
    parts = [describe_table(crystals, name) for name in ("composition", "geometry")]
    joined = describe_table(crystals, "composition+geometry", cache=tmp_path)
    assert joined.names == parts[0].names + parts[1].names == feature_names("composition+geometry")
    assert joined.failures == parts[1].failures
    assert list(joined.ids) == ["c1", "c2"]
    np.testing.assert_array_equal(joined.values, np.hstack([parts[0].values[1:], parts[1].values]))
    # Each part is kept by itself, for others to read.
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("composition+geometri", "Did you mean 'geometry'?"),
        ("composition+", "Unknown descriptor ''"),
        ("geometry+composition+geometry", "'geometry' is named twice"),
    ],
)
def test_wrong_names_side_by_side(name, says):
    with pytest.raises(InputError) as error:
        describe_table(table(), name)
    assert says in str(error.value)


def test_fewer_than_one_worker_is_refused():
    with pytest.raises(InputError, match="workers=0 is not allowed"):
        describe_table(table(), "composition", workers=0)


@pytest.mark.parametrize("wanted", sorted(PACKAGES))
def test_a_missing_package_is_named(wanted, monkeypatch, tmp_path):
    def absent(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(packages, "version", absent)
    package, extra = PACKAGES[wanted]
    said = rf"needs the package {package}.*pip install 'epitaxy\[{extra}\]'"
    with pytest.raises(InputError, match=said):
        describe_table(table(), wanted, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_package_that_cannot_be_imported_is_named(monkeypatch):
    from epitaxy.descriptors import chgnet, magpie, structure

    for module in ("matminer", "matminer.featurizers", "chgnet", "chgnet.model"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    for module in ("composition", "structure"):
        monkeypatch.setitem(sys.modules, f"matminer.featurizers.{module}", None)
    monkeypatch.setitem(sys.modules, "chgnet.model.model", None)
    for load in (chgnet._network, magpie._featurizers, structure._featurizers):
        load.cache_clear()
    for wanted, (package, _) in PACKAGES.items():
        with pytest.raises(InputError, match=f"needs the package {package}"):
            describe_table(table(), wanted)


def test_importing_brings_no_torch_and_no_optional_package():
    code = (
        "import sys, epitaxy.descriptors.table as t; t.DESCRIPTORS and [*t.DESCRIPTORS.values()]\n"
        "sys.exit(' '.join({'torch', 'matminer', 'chgnet', 'pymatgen'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert not result.stderr.strip()


def same(one, other):
    assert one.ids.tolist() == other.ids.tolist()
    assert (one.names, one.failures) == (other.names, other.failures)
    np.testing.assert_array_equal(one.values, other.values)


def forbid_computing(monkeypatch):
    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(table_module, "_described", refuse)


def test_vectors_are_kept_and_read_back(tmp_path, monkeypatch):
    crystals = table([rock_salt(), isolated(0), copper()])
    first = describe_table(crystals, "composition", cache=tmp_path / "new")
    assert len(first.failures) == 1
    forbid_computing(monkeypatch)
    same(describe_table(crystals, "composition", cache=tmp_path / "new"), first)
    for other in (crystals.select([0, 1]), table([rock_salt(5.7), isolated(0), copper()])):
        with pytest.raises(AssertionError, match="computed again"):
            describe_table(other, "composition", cache=tmp_path / "new")


def test_another_version_of_a_package_reads_no_old_vectors(tmp_path, monkeypatch):
    describe_table(table(), "composition", cache=tmp_path)
    monkeypatch.setattr(packages, "version", lambda _: "0.0")
    forbid_computing(monkeypatch)
    with pytest.raises(AssertionError, match="computed again"):
        describe_table(table(), "composition", cache=tmp_path)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half", b"no archive at all"])
def test_a_damaged_file_is_written_anew(tmp_path, damage):
    first = describe_table(table(), "composition", cache=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage or whole[: len(whole) // 2])
    same(describe_table(table(), "composition", cache=tmp_path), first)
    assert path.read_bytes() == whole


def test_files_that_would_be_executed_are_not_read(tmp_path):
    first = describe_table(table(), "composition", cache=tmp_path)
    (path,) = tmp_path.iterdir()
    with path.open("wb") as file:
        np.savez(file, values=first.values, meta=np.array([{"ids": []}], dtype=object))
    same(describe_table(table(), "composition", cache=tmp_path), first)


def test_a_folder_that_cannot_be_written_is_told(tmp_path, caplog):
    (tmp_path / "file").touch()
    same(
        describe_table(table(), "composition", cache=tmp_path / "file"),
        describe_table(table(), "composition"),
    )
    assert "a part of that path is a file" in caplog.text
