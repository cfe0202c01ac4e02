"""An option or a setting that is given twice: nothing is dropped in silence."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("evaluate", "run", "data", "--target", "a", "--target", "b"), "--target is given 2"),
        (("train", "data", "--target", "a", "--out", "x", "--seed", "1", "--seed", "2"), "--seed"),
        (("fit", "data", "--target", "a", "--out", "x", "--budget", "1h", "--budget", "2h"), "--b"),
        (("fit", "data", "--target", "a", "--out", "x", "--tune", "--no-tune"), "--tune"),
        (
            ("data", "convert", "d", "--out", "x", "--unit", "a=eV", "--unit", "a=K"),
            "'a' is given twice",
        ),
        (
            ("train", "d", "--target", "a", "--out", "x", "--set", "epochs=1", "--set", "epochs=2"),
            "'epochs' is given twice",
        ),
        (("--quiet", "--quiet", "data", "info", "d"), "--quiet is given 2"),
    ],
)
def test_one_of_two_values_is_never_dropped(epitaxy, arguments, what):
    found = epitaxy(*arguments)
    assert what in found.sentence


def test_what_may_be_repeated_still_may(epitaxy):
    found = epitaxy("data", "info", "nothing.csv", "--target", "a", "--target", "b")
    assert "nothing.csv" in found.sentence
    assert "given" not in found.sentence
