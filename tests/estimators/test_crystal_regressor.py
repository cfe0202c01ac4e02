"""`CrystalRegressor` among the tools of scikit-learn."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from sklearn.base import clone, is_regressor
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from epitaxy.core.errors import InputError
from epitaxy.sklearn import CrystalRegressor
from epitaxy.structures.objects import table_of
from salts import GAPS, IDS, in_memory, write_folder

Y = np.array(list(GAPS.values()))
SMALL = {"encoder": {"width": 4, "layers": 1}}


class NumericCrystals(CrystalRegressor):
    """Makes crystals of the arrays of numbers that the checks of scikit-learn bring.

    All else is what users get; the conversion is what a list of structures does not need.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.no_validation = False
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X, y):  # noqa: N803
        X, y = validate_data(self, X, y, multi_output=False, y_numeric=True)
        return super().fit(salt_like(X), y)

    def predict(self, X):  # noqa: N803
        check_is_fitted(self)
        return super().predict(salt_like(validate_data(self, X, reset=False)))


def salt_like(X):  # noqa: N803
    """Return crystals whose edges depend on the numbers of their row."""
    edges = 4.5 + np.tanh(X[:, 0] + 0.5 * X[:, -1])
    cations = np.array(["Li", "Na", "K", "Rb", "Cs"])[np.abs(10 * X[:, 0]).astype(int) % 5]
    return [
        Structure(Lattice.cubic(a), [c, "Cl"], [[0, 0, 0], [0.5] * 3])
        for a, c in zip(edges, cations, strict=True)
    ]


@pytest.fixture(scope="module")
def crystals():
    """Return the salts as structures of pymatgen."""
    table = in_memory()
    return [table[row] for row in range(len(table))]


@pytest.fixture
def quick():
    """Return an estimator that trains a small network in a moment."""
    return CrystalRegressor("train", epochs=2, options=SMALL)


def test_check_estimator():
    """For estimators whose X is no array scikit-learn says that it skips almost all checks."""
    with pytest.warns(SkipTestWarning, match="Can't test estimator CrystalRegressor"):
        results = check_estimator(CrystalRegressor(), on_skip=None)
    assert {r["status"] for r in results} == {"passed"}


@pytest.mark.filterwarnings("ignore")
def test_all_checks_of_estimators_on_numbers():
    options = {"encoder": {"width": 3, "layers": 1}}
    results = check_estimator(
        NumericCrystals("train", epochs=1, options=options),
        on_skip=None,
        on_fail="warn",
    )
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed
    assert sum(r["status"] == "passed" for r in results) > 40


def test_all_kinds_of_crystals_are_the_same(quick, crystals, tmp_path):
    folder = write_folder(tmp_path / "data")
    kinds = {
        "pymatgen": crystals,
        "ase": [AseAtomsAdaptor.get_atoms(s) for s in crystals],
        "table": in_memory(),
        "texts": [str(folder / f"{i}.cif") for i in IDS],
        "paths": [folder / f"{i}.cif" for i in IDS],
        "series": pd.Series(crystals),
        "mixed": [*crystals[:10], *(folder / f"{i}.cif" for i in IDS[10:])],
    }
    first = quick.fit(crystals, Y).predict(crystals)
    assert first.shape == (30,)
    assert np.ptp(first) > 0
    for kind, given in kinds.items():
        np.testing.assert_allclose(quick.predict(given), first, rtol=1e-4, err_msg=kind)
    again = clone(quick).fit(kinds["table"], Y)
    np.testing.assert_allclose(again.predict(crystals[::-1])[::-1], first, rtol=1e-3)


def test_same_seed_same_numbers(quick, crystals):
    first, second = (clone(quick).fit(crystals, Y).predict(crystals) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = clone(quick).set_params(random_state=1).fit(crystals, Y).predict(crystals)
    assert not np.allclose(first, other)
    drawn = CrystalRegressor("train", epochs=1, options=SMALL, random_state=None)
    assert np.isfinite(drawn.fit(crystals, Y).predict(crystals)).all()


def test_parameters(quick):
    given = quick.get_params()
    assert given.keys() == {
        *("recipe", "from_model", "experts", "strategy", "budget", "epochs", "learning_rate"),
        *("batch_size", "scale", "group_by", "options", "out", "random_state"),
    }
    assert clone(quick).get_params() == given
    assert quick.set_params(epochs=5).epochs == 5
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        quick.set_params(epoch=5)
    assert is_regressor(quick)


def test_cross_validation_and_search(quick, crystals):
    folds = KFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(quick, crystals, Y, cv=folds, scoring="neg_mean_absolute_error")
    assert scores.shape == (2,)
    assert (scores < 0).all()
    assert cross_val_predict(quick, in_memory(), Y, cv=folds).shape == (30,)
    search = GridSearchCV(quick, {"learning_rate": [1e-9, 0.03]}, cv=folds).fit(crystals, Y)
    assert search.best_params_ == {"learning_rate": 0.03}
    assert search.predict(crystals[:3]).shape == (3,)


def test_pipeline(quick, crystals):
    steps = [("clean", FunctionTransformer(list)), ("model", quick)]
    pipe = Pipeline(steps).set_params(model__epochs=1).fit(crystals, Y)
    assert pipe.predict(crystals).shape == (30,)
    assert np.isfinite(pipe.score(crystals, Y))


def test_a_fitted_estimator_travels_without_its_folder(quick, crystals, tmp_path):
    kept = clone(quick).set_params(out=tmp_path / "run").fit(crystals, Y)
    expected = kept.predict(crystals)
    assert (tmp_path / "run" / "model.json").is_file()
    copy = pickle.load(io.BytesIO(pickle.dumps(kept)))
    (tmp_path / "run").rename(tmp_path / "gone")
    np.testing.assert_array_equal(copy.predict(crystals), expected)


def test_finetune_and_mixture(crystals):
    for estimator in (
        CrystalRegressor("finetune", from_model="zoo:cgcnn-band-gap", strategy="head", epochs=2),
        CrystalRegressor("mixture", experts="zoo:*", strategy="head", epochs=2),
    ):
        assert np.isfinite(estimator.fit(crystals, Y).predict(crystals)).all()
        with pytest.raises(InputError, match="has no intervals; use recipe='fit'"):
            estimator.predict(crystals, return_interval=True)


def test_fit_with_intervals(crystals):
    estimator = CrystalRegressor(budget=30, options={"candidates": "descriptors", "threads": 1})
    values, bounds = estimator.fit(crystals, Y).predict(crystals, return_interval=True)
    assert bounds.shape == (30, 2)
    assert (bounds[:, 0] <= values).all()
    assert (values <= bounds[:, 1]).all()
    np.testing.assert_array_equal(estimator.predict(crystals), values)
    assert np.corrcoef(values, Y)[0, 1] > 0.5


def test_the_transform_is_proposed(crystals, tmp_path):
    run = tmp_path / "run"
    wide = np.exp(3 * np.linspace(0, 2.5, 30))
    CrystalRegressor("train", epochs=1, options=SMALL, out=run).fit(crystals, wide)
    assert "transform: log\n" in (run / "config.yaml").read_text()
    given = CrystalRegressor("train", epochs=1, options=SMALL, scale="identity", out=run)
    with pytest.raises(InputError, match="holds a run with other settings"):
        given.fit(crystals, wide)


def test_polymorphs_of_one_composition(quick):
    salts = [
        Structure(Lattice.cubic(3.5 + 0.05 * n), ["Cs", "Cl"], [[0] * 3, [0.5] * 3])
        for n in range(20)
    ]
    assert np.isfinite(quick.fit(salts, np.arange(20.0)).predict(salts)).all()


def test_bad_crystals(quick, crystals):
    mixed = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    given = [*crystals[:5], mixed, *crystals[5:]]
    y = np.insert(Y, 5, 1.0)
    y[8] = np.nan
    fitted = quick.fit(given, y)
    assert fitted.n_crystals_ == 29
    found = fitted.predict(given)
    assert np.flatnonzero(np.isnan(found)).tolist() == [5]
    with pytest.raises(InputError, match="None of 1 crystals"):
        fitted.predict([mixed])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "tune"}, "Unknown recipe 'tune'"),
        ({"recipe": "finetune"}, "'finetune' needs from_model"),
        ({"recipe": "mixture"}, "'mixture' needs experts"),
        ({"from_model": "zoo:x"}, "'train' does not use from_model"),
        ({"budget": "3m"}, "'train' does not use budget"),
        ({"options": {"widht": 3}}, "unknown key 'widht'"),
        ({"scale": "ln"}, "Unknown transform 'ln'"),
    ],
)
def test_wrong_parameters(*, quick, crystals, change, words):
    with pytest.raises(InputError, match=words):
        quick.set_params(**change).fit(crystals, Y)


def test_wrong_data(quick, crystals):
    for given, words in (
        (np.zeros((30, 3)), "A ndarray is no crystal"),
        ([1.0] * 30, "A float is no crystal"),
        ([], "0 crystals came"),
        (crystals[0], "came as Structure; give a list"),
        ("folder/", "came as str; give a list"),
        (None, "came as NoneType; give a list"),
    ):
        with pytest.raises(InputError, match=words):
            quick.fit(given, Y)
    with pytest.raises(InputError, match="n_samples = 1; give at least 2"):
        quick.fit(crystals, np.where(np.arange(30) == 3, Y, np.nan))
    with pytest.raises(InputError, match="y has 1 infinite numbers; give finite ones, or NaN"):
        quick.fit(crystals, np.where(np.arange(30) == 3, np.inf, Y))
    with pytest.raises(InputError, match="X has 30 crystals, but y has 29 numbers"):
        quick.fit(crystals, Y[:-1])
    with pytest.raises(ValueError, match="1d array"):
        quick.fit(crystals, np.zeros((30, 2)))


def test_tables_of_objects_keep_order_and_reasons(crystals, tmp_path):
    (tmp_path / "bad.cif").write_text("nothing")
    table, rows = table_of([crystals[3], tmp_path / "bad.cif", crystals[1]])
    assert rows.tolist() == [0, 2]
    assert table.ids.tolist() == ["0", "2"]
    assert [d.id for d in table.dropped] == ["1"]
    assert table.formulas == (in_memory().formulas[3], in_memory().formulas[1])


def test_a_table_is_a_list_of_structures():
    table = in_memory()
    assert [s.formula for s in table] == [table.structure(row).formula for row in range(30)]
    assert table[-1] == table.structure(29)
    with pytest.raises(IndexError):
        table[30]
