"""Domain flags: against all pairs, shares of like crystals, storage, speed, wrong input."""

import time

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.evaluation.domain import NEAREST, VERDICTS, Domain


def crystals(n, seed=0, width=8, shift=0.0, elements=(8, 12, 22)):
    random = np.random.default_rng(seed)
    numbers = [random.choice(elements, size=3).tolist() for _ in range(n)]
    return numbers, shift + random.standard_normal((n, width)) * np.arange(1, width + 1)


@pytest.fixture
def domain():
    numbers, vectors = crystals(200)
    return Domain.of([f"mp-{i}" for i in range(200)], numbers, vectors)


def test_distances_are_those_of_all_pairs(domain):
    _, old = crystals(200)
    numbers, new = crystals(50, seed=1)
    found = domain.flags(numbers, new)
    scaled = [(x - old.mean(axis=0)) / old.std(axis=0) for x in (old, new)]
    pairs = np.linalg.norm(scaled[1][:, None] - scaled[0][None], axis=2)
    np.testing.assert_allclose(found.distance, pairs.min(axis=1), rtol=1e-4)
    order = pairs.argsort(axis=1)[:, :NEAREST]
    assert found.nearest.tolist() == [[f"mp-{i}" for i in row] for row in order]
    own = np.linalg.norm(scaled[0][:, None] - scaled[0][None], axis=2)
    np.fill_diagonal(own, np.inf)
    np.testing.assert_allclose(domain.own, np.sort(own.min(axis=1)), rtol=1e-4)
    smaller = (own.min(axis=1) < pairs.min(axis=1)[:, None]).mean(axis=1)
    np.testing.assert_allclose(found.percentile, 100 * smaller, atol=0.6)


def test_of_like_crystals_few_are_flagged():
    shares = []
    for seed in range(20):
        numbers, old = crystals(500, seed=2 * seed)
        flags = Domain.of(range(500), numbers, old).flags(*crystals(500, seed=2 * seed + 1))
        shares.append([(flags.verdict == verdict).mean() for verdict in VERDICTS])
    assert np.mean(shares, axis=0) == pytest.approx([0.95, 0.04, 0.01], abs=0.015)


def test_other_crystals_are_outside(domain):
    numbers, far = crystals(30, seed=1, shift=60.0)
    found = domain.flags(numbers, far)
    assert set(found.verdict) == {"outside"}
    assert (found.percentile == 100).all()


def test_unseen_elements_are_outside_however_near(domain):
    _, old = crystals(200)
    found = domain.flags([[8, 12], [92, 8, 26, 26]], old[:2])
    assert found.unseen == ((), ("Fe", "U"))
    assert found.verdict.tolist() == ["inside", "outside"]
    assert found.distance == pytest.approx(0, abs=1e-2)
    assert found.nearest[:, 0].tolist() == ["mp-0", "mp-1"]
    row = found.frame(["a", "b"]).iloc[1]
    assert (row["id"], row["domain"], row["unseen_elements"]) == ("b", "outside", "Fe U")
    assert row["nearest"].split("; ")[0] == "mp-1"


def test_units_and_constant_columns_do_not_matter():
    numbers, old = crystals(100)
    _, new = crystals(20, seed=1)
    units = np.geomspace(1e-6, 1e6, 8)
    plain = Domain.of(range(100), numbers, old).flags(numbers[:20], new)
    other = Domain.of(range(100), numbers, np.c_[old * units + 5, np.full(100, 0.3)])
    found = other.flags(numbers[:20], np.c_[new * units + 5, np.full(20, 7.0)])
    np.testing.assert_allclose(found.distance, plain.distance, rtol=1e-3)
    assert found.verdict.tolist() == plain.verdict.tolist()


def test_two_training_crystals_and_equal_ones():
    two = Domain.of(["a", "b"], [[8], [12]], np.array([[0.0, 1.0], [1.0, 1.0]]))
    found = two.flags([[8], [8]], np.array([[0.1, 1.0], [40.0, 1.0]]))
    assert found.nearest.shape == (2, 2)
    assert found.verdict.tolist() == ["inside", "outside"]
    same = Domain.of(["a", "b"], [[8], [12]], np.ones((2, 3)))
    assert same.flags([[8]], np.ones((1, 3))).verdict.tolist() == ["inside"]


def test_no_new_crystal(domain):
    found = domain.flags([], np.zeros((0, 8)))
    assert (len(found.verdict), found.nearest.shape, found.unseen) == (0, (0, 3), ())
    assert found.frame([]).empty


def test_storage(domain):
    again = Domain.of_arrays(domain.arrays())
    assert again.ids.tolist() == domain.ids.tolist()
    numbers, new = crystals(20, seed=1)
    one, two = domain.flags(numbers, new), again.flags(numbers, new)
    assert np.array_equal(one.distance, two.distance)
    assert one.frame(range(20)).equals(two.frame(range(20)))
    named = Domain.of(["é ü", "x"], [[8], [8]], np.eye(2))
    assert Domain.of_arrays(named.arrays()).ids.tolist() == ["é ü", "x"]
    assert all(a.dtype.kind in "uif" for a in domain.arrays().values())


def test_arrays_that_are_no_domain(domain):
    with pytest.raises(InputError, match="array 'own' of the domain is missing"):
        Domain.of_arrays({k: v for k, v in domain.arrays().items() if k != "own"})


def test_ten_thousand_against_five_thousand():
    random = np.random.default_rng(0)
    old, new = (random.standard_normal((n, 128)).astype(np.float32) for n in (5000, 10000))
    domain = Domain.of(range(5000), [[8]] * 5000, old)
    start = time.process_time()
    found = domain.flags([[8]] * 10000, new)
    assert time.process_time() - start < 20  # about 1 s on an idle core
    assert len(found.verdict) == 10000


@pytest.mark.parametrize(
    ("ids", "elements", "vectors", "words"),
    [
        (["a"], [[8]], np.ones((1, 2)), "1 ids came with 1 embeddings.*at least two"),
        (["a"], [[8], [8]], np.ones((2, 2)), "1 ids came with 2 embeddings"),
        (["a", "b"], [[8], [8]], np.ones(2), r"shape \(2,\) came with the elements of 2"),
        (["a", "b"], [[8]], np.ones((2, 2)), r"shape \(2, 2\) came with the elements of 1"),
        (["a", "b"], [[8], [8]], np.array([[1.0], [np.nan]]), "1 of 2 embeddings are not finite"),
        (["a", "b\nc"], [[8], [8]], np.ones((2, 2)), "line break"),
    ],
)
def test_wrong_training_crystals(ids, elements, vectors, words):
    with pytest.raises(InputError, match=words):
        Domain.of(ids, elements, vectors)


def test_wrong_new_crystals(domain):
    with pytest.raises(InputError, match="have 3 columns, those of the training crystals 8"):
        domain.flags([[8]], np.ones((1, 3)))
    with pytest.raises(InputError, match="1 of 1 embeddings are not finite"):
        domain.flags([[8]], np.full((1, 8), np.inf))
