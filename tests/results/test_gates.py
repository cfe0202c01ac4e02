"""Tables of gate weights: means over seeds, order of experts, agreement of runs."""

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.results.gates import RunGates, agreement, gate_table, mean_gates, top_overlap

EXPERTS = tuple("abcdef")


def run(seed, *weights, task="gap"):
    return RunGates(f"{task}-{seed}", task, seed, dict(zip(EXPERTS, weights, strict=False)))


@pytest.fixture
def table():
    return gate_table(
        [
            run(0, 0.5, 0.3, 0.2, 0.0),
            run(0, 0.0, 1.0, 0.0, 0.0, task="shear"),
            run(1, 0.3, 0.5, 0.0, 0.2),
        ]
    )


def test_one_row_per_run_and_one_column_per_expert(table):
    assert table.shape == (3, 4)
    assert table.index.names == ["run", "task", "seed"]
    assert table.loc[("gap-1", "gap", 1), "b"] == 0.5
    np.testing.assert_allclose(table.sum(axis=1), 1)


def test_means_are_those_of_the_runs_of_a_task(table):
    means = mean_gates(table)
    assert list(means.index) == ["gap", "shear"]
    np.testing.assert_allclose(means.loc["gap"], [0.4, 0.4, 0.1, 0.1])


def test_experts_are_ordered_by_size(table):
    means = mean_gates(table, {"c": 10, "a": 500, "unheard": 1})
    assert list(means.columns) == ["c", "a", "b", "d"]


def test_an_expert_that_was_not_in_a_mixture_has_no_weight():
    table = gate_table([run(0, 0.5, 0.5), RunGates("x", "shear", 0, {"new": 1.0})])
    assert np.isnan(table.loc[("x", "shear", 0), "a"])
    assert np.isnan(mean_gates(table).loc["gap", "new"])


@pytest.mark.parametrize(
    ("one", "two", "top", "share"),
    [
        ([0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1], 2, 1.0),
        ([0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], 2, 0.0),
        ([0.4, 0.3, 0.2, 0.1], [0.4, 0.1, 0.3, 0.2], 2, 0.5),
        # One weight above 0 against two: the set of the first has one expert.
        ([1.0, 0.0, 0.0, 0.0], [0.6, 0.4, 0.0, 0.0], 4, 0.5),
        ([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], 4, 1.0),
        # Equal weights say nothing about the two heaviest: half of them coincide by chance.
        ([0.25] * 4, [0.25] * 4, 2, 0.5),
        ([0.25] * 4, [0.4, 0.3, 0.2, 0.1], 2, 0.5),
    ],
)
def test_overlap_of_the_heaviest(one, two, top, share):
    assert top_overlap(np.array(one), np.array(two), top) == pytest.approx(share)


def test_agreement_of_equal_and_of_single_runs(table):
    same = agreement(gate_table([run(s, 0.5, 0.3, 0.15, 0.05) for s in range(3)]), top=2)
    assert same.loc[0].to_dict() == {
        "task": "gap",
        "runs": 3,
        "overlap": 1.0,
        "chance": 0.5,
        "spearman": pytest.approx(1.0),
    }
    found = agreement(table, top=2).set_index("task")
    assert found.loc["gap", "overlap"] == 1
    assert found.loc["gap", "spearman"] == pytest.approx(0.6)
    assert found.loc["shear", "runs"] == 1
    assert found.loc["shear", ["overlap", "chance", "spearman"]].isna().all()


def test_agreement_of_random_gates_is_that_of_chance():
    random = np.random.default_rng(0)
    runs = [run(s, *random.dirichlet(np.ones(6))) for s in range(60)]
    found = agreement(gate_table(runs), top=2).loc[0]
    assert found["chance"] == pytest.approx(2 / 6)
    assert found["overlap"] == pytest.approx(found["chance"], abs=0.05)
    assert found["spearman"] == pytest.approx(0, abs=0.1)


def test_agreement_without_ranks_or_common_experts():
    equal = agreement(gate_table([run(0, 0.5, 0.5), run(1, 0.9, 0.1)])).loc[0]
    assert np.isnan(equal["spearman"])
    other = RunGates("x", "gap", 1, {"new": 1.0})
    assert np.isnan(agreement(gate_table([run(0, 0.5, 0.5), other])).loc[0, "overlap"])
    with pytest.raises(InputError, match="top=0 is not allowed"):
        agreement(gate_table([run(0, 1.0)]), top=0)
